#!/bin/sh
# Makes parts of a release from a compiled binary, into the folder OUT: `cargo xtask dist` calls it for each MACHINE
# (x86_64, aarch64) and BUILD (otel, lean). All times in files are SOURCE_DATE_EPOCH.
#
#   package.sh RELEASE PART...      RELEASE is Cargo's folder with the binary
set -eu
root=$(cd "$(dirname "$0")/.." && pwd -P)
cd "$1"
shift
name=postrider
[ "$BUILD" = otel ] || name=postrider-$BUILD
file=$name-$VERSION-$MACHINE-linux
case $MACHINE in x86_64) architecture=amd64 ;; aarch64) architecture=arm64 ;; esac
emulator=
[ "$MACHINE" = "$(uname -m)" ] || emulator=qemu-$MACHINE-static

# The folder for what goes into an archive; empty, except with an argument.
stage() {
    stage=$PWD/stage/$1
    [ -n "${2:-}" ] || rm -rf "$stage"
    mkdir -p "$stage"
}
# compress FILE FOLDER: the folder of the stage, without anything that differs between two machines
compress() {
    tar -C "$stage" --create --sort=name --format=gnu --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
        --mode=u=rwX,go=rX "$2" | gzip -9n >"$OUT/$1"
}
with_version() { sed "s/\"version\": \"0.0.0\"/\"version\": \"$VERSION\"/; s/^version = \"0.0.0\"/version = \"$VERSION\"/" "$1"; }

objcopy() { "$root/packaging/objcopy.sh" "$@"; }

# `package` has the stripped binary, its manual pages and completions. Each binary runs here once.
binary() {
    rm -rf package
    mkdir -p package/man package/completions
    objcopy --only-keep-debug postrider "package/$file.debug"
    # The list of dependencies stays. No link to the symbols: it would contain their checksum, and so the path of Zig on this machine.
    objcopy --strip-all --keep-section=.dep-v0 postrider package/postrider
    gzip -9n "package/$file.debug"
    mv "package/$file.debug.gz" "$OUT"
    $emulator package/postrider man package/man
    $emulator package/postrider completions bash >package/completions/postrider.bash
    $emulator package/postrider completions zsh >package/completions/_postrider
    $emulator package/postrider completions fish >package/completions/postrider.fish
}

archive() {
    stage archive
    cp -R package "$stage/$file"
    cp "$root/README.md" "$root/CHANGELOG.md" "$root/LICENSE" "$stage/$file"
    compress "$file.tar.gz" "$file"
}

# [package.metadata.deb] of crates/cli/Cargo.toml says what it contains.
deb() {
    variant=
    [ "$BUILD" = otel ] || variant=--variant=$BUILD
    cargo deb --manifest-path "$root/Cargo.toml" -p postrider --no-build --no-strip --locked --quiet \
        --target "$MACHINE-unknown-linux-musl" $variant --output "$OUT/"
}

image() {
    stage image
    install -D package/postrider "$stage/usr/local/bin/postrider"
    install -D -m 644 "$PYTHONPATH/certifi/cacert.pem" "$stage/etc/ssl/certs/ca-certificates.crt"
    python3 "$root/packaging/image.py" "$OUT/postrider-$VERSION-$BUILD-$architecture.oci.tar" \
        "postrider:$VERSION-$BUILD" "$architecture" "$VERSION" "$COMMIT" "$stage"
}

# pip and npm install the build with OpenTelemetry.
wheel() {
    [ "$BUILD" = otel ] || return 0
    stage wheel
    cp "$root/packaging/python/hatch_build.py" "$root/README.md" "$root/LICENSE" package/postrider "$stage"
    with_version "$root/packaging/python/pyproject.toml" >"$stage/pyproject.toml"
    (cd "$stage" && python3 -m hatchling build --target wheel --directory "$OUT" >/dev/null)
}

# One package with the binaries of all machines: this is called for each.
npm() {
    [ "$BUILD" = otel ] || return 0
    package=postrider-$VERSION.npm.tgz
    stage npm
    [ ! -e "$OUT/$package" ] || tar -C "$stage" -xzf "$OUT/$package"
    stage npm/package keep
    install -D package/postrider "$stage/$MACHINE/postrider"
    cp "$root/packaging/npm/postrider" "$root/README.md" "$root/LICENSE" "$stage"
    with_version "$root/packaging/npm/package.json" >"$stage/package.json"
    stage=$(dirname "$stage")
    compress "$package" package
}

# The clients are the same for all machines.
clients() {
    [ "$BUILD" = otel ] || return 0
    stage clients
    cp -R "$root/clients/python/src" "$root/clients/python/README.md" "$root/LICENSE" "$stage"
    find "$stage" -name __pycache__ -prune -exec rm -rf {} +
    with_version "$root/clients/python/pyproject.toml" >"$stage/pyproject.toml"
    (cd "$stage" && python3 -m hatchling build --target sdist --target wheel --directory "$OUT" >/dev/null)
    stage clients/package
    cp -R "$root/clients/node/src" "$root/clients/node/README.md" "$root/LICENSE" "$stage"
    with_version "$root/clients/node/package.json" >"$stage/package.json"
    stage=$(dirname "$stage")
    compress "postrider-client-$VERSION.npm.tgz" package
}

# The paths of the checkout are no part of it.
sbom() {
    features=
    [ "$BUILD" = otel ] || features=--no-default-features
    cargo cyclonedx --manifest-path "$root/crates/cli/Cargo.toml" --format json --spec-version 1.5 $features \
        --target "$MACHINE-unknown-linux-musl" --override-filename "$file.cdx" --quiet
    sed "s|$root|.|g" "$root/crates/cli/$file.cdx.json" >"$OUT/$file.cdx.json"
    find "$root/crates" "$root/xtask" -name "$file.cdx.json" -delete
}

for part in "$@"; do "$part"; done
