#!/bin/sh
# Reduces a checkout to its skeleton: the manifests, and an empty file for each target that they name. A build of the
# skeleton contains only the dependencies and changes only with a manifest, so its layer stays cached.
#
#   skeleton.sh FOLDER
set -eu
cd "$1"
find . -type f ! -name Cargo.toml ! -name Cargo.lock -delete
find . -name Cargo.toml | while read -r manifest; do
    folder=$(dirname "$manifest")
    grep -q '^\[package\]' "$manifest" || continue
    mkdir -p "$folder/src"
    : >"$folder/src/lib.rs"
    echo 'fn main() {}' >"$folder/src/main.rs"
    # `name` names a target. `path` is its file if it differs from the default path of this name.
    awk '
        function done() { if (kind in place && name != "") print (path != "" ? path : place[kind] "/" name ".rs"); kind = name = path = "" }
        BEGIN { place["bin"] = "src/bin"; place["test"] = "tests"; place["example"] = "examples"; place["bench"] = "benches" }
        /^\[/ { done() }
        /^\[\[/ { kind = $0; gsub(/[][ ]/, "", kind) }
        /^(name|path) *=/ { value = $0; sub(/^[^"]*"/, "", value); sub(/".*/, "", value); if (/^name/) name = value; else path = value }
        END { done() }
    ' "$manifest" | while read -r file; do
        mkdir -p "$(dirname "$folder/$file")"
        echo 'fn main() {}' >"$folder/$file"
    done
done
