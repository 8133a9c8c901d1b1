#!/bin/sh
# Rust's own objcopy, which knows all machines.
set -eu
rust=$(rustc --print sysroot)
export LD_LIBRARY_PATH="$rust/lib"
exec "$rust/lib/rustlib/$(rustc --print host-tuple)/bin/rust-objcopy" "$@"
