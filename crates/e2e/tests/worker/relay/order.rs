//! Rows with an order key, taken by several relays.

use std::collections::BTreeMap;

use e2e::process::Build;
use e2e::wait::DEADLINE;

use super::{Outbox, label};

const KEYS: usize = 20;
const ROWS: usize = 100;

#[test]
fn rows_of_one_order_key_are_enqueued_in_their_order_by_several_relays() {
    let Some(outbox) = Outbox::start(Build::Lean) else { return };
    let _relays: Vec<_> = (0..3).map(|_| outbox.relay(&["--connections", "4"])).collect();
    let url = outbox.world.sink.url("/ok");
    for batch in 0..10 {
        // Rows without a key are between them, so that all relays have something to take.
        outbox.postgres.sql(&format!(
            "insert into postrider_outbox (url, label, order_key)
             select '{url}', 'k' || k || '-' || {batch} * {0} + n, 'k' || k from generate_series(1, {0}) n, generate_series(1, {KEYS}) k;
             insert into postrider_outbox (url, label) select '{url}', 'free' from generate_series(1, 300)",
            ROWS / 10
        ));
    }
    outbox.wait_until_empty();
    let _worker = outbox.world.worker(&[]);
    let requests = outbox.world.sink.wait_for(KEYS * ROWS + 3000, DEADLINE);
    let mut numbers = BTreeMap::<String, Vec<usize>>::new();
    for label in requests.iter().map(label) {
        if let Some((key, number)) = label.split_once('-') {
            numbers.entry(key.to_owned()).or_default().push(number.parse().expect("a number"));
        }
    }
    assert_eq!(numbers.len(), KEYS);
    for (key, numbers) in numbers {
        assert_eq!(numbers, (1..=ROWS).collect::<Vec<_>>(), "{key}");
    }
}
