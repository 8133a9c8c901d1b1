// Live updates. Every page works without this script.
'use strict';

const EVERY_MS = 3000;

// Loads the page again, and takes over its parts that change.
async function refresh() {
  const parts = document.querySelectorAll('[data-live]');
  if (parts.length === 0) return;
  const busy = document.hidden || document.querySelector('[data-live] :focus, [data-live] :checked');
  if (!busy) {
    try {
      const response = await fetch(location.href, { headers: { accept: 'text/html' } });
      if (response.ok && !response.redirected) {
        const page = new DOMParser().parseFromString(await response.text(), 'text/html');
        const fresh = page.querySelectorAll('main > div');
        document.querySelectorAll('main > div').forEach((part, index) => {
          if (part.matches('[data-live]') && fresh[index]) part.replaceWith(document.adoptNode(fresh[index]));
        });
      }
    } catch {
      // The console is away; the next time may succeed.
    }
  }
  setTimeout(refresh, EVERY_MS);
}

setTimeout(refresh, EVERY_MS);

// Shows deliveries as they end, the last one first.
const ROWS_MAX = 200;

function cell(row, label, text, kind) {
  const cell = row.insertCell();
  cell.dataset.label = label;
  const part = document.createElement('span');
  part.textContent = text ?? '';
  if (kind) part.className = kind;
  cell.append(part);
  return part;
}

function show(table, delivery) {
  const row = table.insertRow(0);
  const good = delivery.outcome === 'succeeded';
  cell(row, 'Ended', new Date(delivery.ended_at).toISOString().slice(11, 23));
  cell(row, 'Outcome', delivery.status ?? delivery.reason ?? delivery.outcome, 'state ' + (good ? 'good' : 'bad'));
  const link = document.createElement('a');
  link.href = '/jobs/' + encodeURIComponent(delivery.job_id);
  link.textContent = delivery.job_id;
  cell(row, 'Job', '').append(link);
  for (const [label, text] of [['Label', delivery.label], ['Queue', delivery.queue], ['Host', delivery.host]]) cell(row, label, text);
  cell(row, 'Took', delivery.duration_ms === null ? '' : delivery.duration_ms + ' ms').parentElement.className = 'number';
  cell(row, 'Attempts', delivery.attempts).parentElement.className = 'number';
  while (table.rows.length > ROWS_MAX) table.deleteRow(-1);
}

function follow(table) {
  const state = document.getElementById('tail-state');
  const stream = new EventSource(table.dataset.stream);
  let missed = 0;
  stream.onopen = () => { state.textContent = 'Connected. Deliveries appear as they end.'; };
  stream.onerror = () => { state.textContent = 'The connection is interrupted; it is tried again.'; };
  stream.addEventListener('delivery', event => show(table, JSON.parse(event.data)));
  stream.addEventListener('missed', event => {
    missed += JSON.parse(event.data).jobs;
    state.textContent = missed + ' deliveries were missed, since there were too many.';
  });
}

const table = document.getElementById('tail');
if (table) follow(table);
