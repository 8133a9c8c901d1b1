"""Verifies what `cargo xtask dist` has made: all packages of a build and a machine contain the same binary; it is static,
contains the list of its dependencies, and neither it nor its symbols name a folder of the machine that built it.

    verify.py FOLDER VERSION PATH...     PATH is a folder that no file may name
"""

import gzip
import hashlib
import io
import json
import pathlib
import struct
import sys
import tarfile
import zipfile
import zlib

MACHINES = {62: "x86_64", 183: "aarch64"}
PROGRAM_INTERPRETER = 3


def members(archive):
    """The files of a tar archive, with their paths."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        yield from ((entry.name, files.extractfile(entry).read()) for entry in files if entry.isfile())


def parts(package):
    """The members of an `ar` archive, which a package of Debian is."""
    at = len(b"!<arch>\n")
    while at < len(package):
        name, size = package[at:at + 16].decode().strip(" /"), int(package[at + 48:at + 58])
        yield name, package[at + 60:at + 60 + size]
        at += 60 + size + size % 2


def files(path):
    """The paths and contents of what a package installs."""
    content = path.read_bytes()
    if path.name.endswith(".deb"):
        return members(next(part for name, part in parts(content) if name.startswith("data.tar")))
    if path.name.endswith(".whl"):
        wheel = zipfile.ZipFile(path)
        return ((name, wheel.read(name)) for name in wheel.namelist())
    if path.name.endswith(".oci.tar"):
        blobs = dict(members(content))
        return (file for layer in json.loads(blobs["manifest.json"])[0]["Layers"] for file in members(blobs[layer]))
    return members(content)


def elf(binary):
    """The machine of a binary, the types of its segments, and its sections by name."""
    assert binary[:6] == b"\x7fELF\x02\x01", "no ELF file of 64 bits"
    (machine,) = struct.unpack_from("<H", binary, 18)
    segments, table = struct.unpack_from("<QQ", binary, 32)
    _, count, size, sections, names = struct.unpack_from("<HHHHH", binary, 54)
    types = [struct.unpack_from("<I", binary, segments + 56 * number)[0] for number in range(count)]
    heads = [struct.unpack_from("<IIQQQQ", binary, table + size * number) for number in range(sections)]
    strings = heads[names][4]
    named = {}
    for name, kind, _, _, offset, length in heads:
        text = binary[strings + name:binary.index(b"\0", strings + name)].decode()
        named[text] = binary[offset:offset + length]
    return MACHINES[machine], types, named


def verify(binary, version, is_lean):
    """The machine of a released binary."""
    machine, segments, sections = elf(binary)
    assert PROGRAM_INTERPRETER not in segments, "its binary is not static"
    assert ".dep-v0" in sections, "its binary does not contain the list of its dependencies"
    packages = json.loads(zlib.decompress(sections[".dep-v0"]))["packages"]
    versions = {package["name"]: package["version"] for package in packages}
    assert versions.get("postrider") == version and "rustls" in versions, f"its binary lists {versions}"
    assert ("opentelemetry" in versions) != is_lean, "its binary is that of the other build"
    return machine


def contents(path):
    """The paths and contents of what a file of the release contains."""
    if path.name.endswith(".debug.gz"):
        return [(path.name, gzip.decompress(path.read_bytes()))]
    if path.name.endswith(".json"):
        return [(path.name, path.read_bytes())]
    return files(path)


def main(folder, version, *paths):
    binaries = {}
    for path in sorted(pathlib.Path(folder).iterdir()):
        has_binary, is_lean = path.name.endswith((".debug.gz", ".json")), "-lean" in path.name
        # The clients contain none.
        has_binary = has_binary or path.name.startswith(("postrider_client-", "postrider-client-"))
        try:
            for name, content in contents(path):
                for place in paths:
                    assert f"{place}/".encode() not in content, f"its {name} names {place}"
                if name.endswith("/postrider") and content.startswith(b"\x7fELF"):
                    machine, has_binary = verify(content, version, is_lean), True
                    same = binaries.setdefault((machine, is_lean), {})
                    same.setdefault(hashlib.sha256(content).digest(), []).append(path.name)
            assert has_binary, "it has no binary"
        except AssertionError as reason:
            sys.exit(f"verify: {path.name}: {reason}")
    for (machine, is_lean), same in binaries.items():
        if len(same) != 1:
            sys.exit(f"verify: these contain different binaries: {list(same.values())}")
        (names,) = same.values()
        print(f"verify: {machine} ({'lean' if is_lean else 'otel'}): {len(names)} packages contain the same binary")


main(*sys.argv[1:])
