//! The examples of docs/outbox.md, with the clients of PostgreSQL that they name.

use std::path::Path;
use std::process::Command;

use e2e::process::Build;
use e2e::text_file::TextFile;
use e2e::wait::DEADLINE;

use super::{Outbox, label};
use crate::clients::tool;

const DOCUMENT: &str = include_str!("../../../../../docs/outbox.md");

/// The example of a language that contains a text.
fn example(language: &str, part: &str) -> &'static str {
    let blocks = DOCUMENT.split("\n```").skip(1).step_by(2);
    let mut own = blocks.filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n'));
    own.find(|text| text.contains(part)).unwrap_or_else(|| panic!("no example in {language} has {part}"))
}

fn runs(command: &mut Command) {
    let output = command.output().expect("it can be started");
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "{}", text.concat());
}

fn python(text: &str, database: &str, url: &str) {
    let file = TextFile::new(text);
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", tool("POSTRIDER_PYTHON_KIT")).env("PYTHONDONTWRITEBYTECODE", "1");
    runs(python.args([file.path(), database, url]));
}

fn django(url: &str, database: &str) {
    let address = database.rsplit('@').next().and_then(|rest| rest.split('/').next());
    let (host, port) = address.and_then(|address| address.split_once(':')).expect("an address");
    let text = format!(
        "import json, sys, django\nfrom django.conf import settings\nURL = sys.argv[2]\n\
         settings.configure(DATABASES={{'default': {{'ENGINE': 'django.db.backends.postgresql', 'HOST': '{host}', \
         'PORT': '{port}', 'NAME': 'postgres', 'USER': 'postgres'}}}})\ndjango.setup()\n\
         from django.db import connection, transaction\n{}",
        example("python", "transaction.atomic")
    );
    python(&text, database, url);
}

fn node(database: &str, url: &str) {
    // Node looks for packages in the folders above a file.
    let folder = tempfile::tempdir().expect("a folder");
    let modules = tool("POSTRIDER_NODE_KIT").join("node_modules");
    std::os::unix::fs::symlink(modules, folder.path().join("node_modules")).expect("a link");
    let file: &Path = &folder.path().join("example.mjs");
    let text = format!(
        "import pg from \"pg\";\nconst [DATABASE, URL] = process.argv.slice(2);\n\
         const client = new pg.Client({{ connectionString: DATABASE }});\nawait client.connect();\n{}\nawait client.end();\n",
        example("js", "begin")
    );
    std::fs::write(file, text).expect("a file can be written");
    runs(Command::new(tool("POSTRIDER_NODE")).arg(file).args([database, url]));
}

#[test]
fn the_examples_of_the_document_work() {
    let Some(outbox) = Outbox::start(Build::Lean) else { return };
    let (database, url) = (outbox.postgres.url(), outbox.world.sink.url("/orders"));
    outbox.postgres.sql("create table orders (id bigint primary key, total bigint)");
    let sql = example("sql", "insert into postrider_outbox").replace("https://shop.example/orders", &url);
    outbox.postgres.sql(&sql);
    outbox.postgres.sql("delete from orders");
    python(
        &format!("import json, sys, psycopg\nDATABASE, URL = sys.argv[1:]\n{}", example("python", "psycopg")),
        &database,
        &url,
    );
    django(&url, &database);
    node(&database, &url);
    let (_worker, _relay) = (outbox.world.worker(&[]), outbox.relay(&[]));
    let requests = outbox.world.sink.wait_for(4, DEADLINE);
    let mut labels: Vec<String> = requests.iter().map(label).collect();
    labels.sort();
    assert_eq!(labels, ["order-17", "order-17", "order-18", "order-19"]);
    let bodies: Vec<serde_json::Value> =
        requests.iter().map(|request| serde_json::from_slice(&request.body).expect("JSON")).collect();
    assert!(bodies.iter().all(|body| body["id"].as_u64() >= Some(17)), "{bodies:?}");
    assert_eq!(outbox.postgres.sql("select count(*) from orders"), "3");
}
