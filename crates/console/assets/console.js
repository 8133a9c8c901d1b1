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
