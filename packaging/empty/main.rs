//! Links what every program links, and does nothing.

fn main() {}
