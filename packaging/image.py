"""Writes an image with one static binary into an archive that Docker, Podman and skopeo load.

    image.py ARCHIVE NAME ARCHITECTURE VERSION REVISION ROOT

ROOT has the image's files. The same input makes the same archive: all times are SOURCE_DATE_EPOCH.
`docker/worker.Dockerfile` makes the same image with an engine, around the C library of a distroless base.
"""

import datetime
import gzip
import hashlib
import io
import json
import os
import pathlib
import sys
import tarfile

EPOCH = int(os.environ["SOURCE_DATE_EPOCH"])


def add(archive, name, content, mode=0o644):
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = len(content), mode, EPOCH
    archive.addfile(entry, io.BytesIO(content))


def layer(root):
    """The files below `root`, owned by root."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(root.rglob("*")):
            entry = archive.gettarinfo(path, path.relative_to(root))
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            entry.mtime = EPOCH
            entry.mode = 0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644
            archive.addfile(entry, path.open("rb") if path.is_file() else None)
    return out.getvalue()


def main(archive, name, architecture, version, revision, root):
    blobs = {}

    def blob(kind, content):
        digest = hashlib.sha256(content).hexdigest()
        blobs[digest] = content
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(content)}

    created = datetime.datetime.fromtimestamp(EPOCH, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    files = layer(pathlib.Path(root))
    packed = blob("layer.v1.tar+gzip", gzip.compress(files, mtime=0))
    # As in docker/worker.Dockerfile, which explains them.
    process = {
        "User": "65532:65532",
        "ExposedPorts": {"9464/tcp": {}},
        "Env": ["PATH=/usr/local/bin", "POSTRIDER_LISTEN=0.0.0.0:9464"],
        "Entrypoint": ["/usr/local/bin/postrider"],
        "Cmd": ["worker"],
        "WorkingDir": "/",
        "StopSignal": "SIGTERM",
        "Healthcheck": {"Test": ["CMD", "/usr/local/bin/postrider", "health"], "Interval": 10 * 10**9,
                        "Timeout": 5 * 10**9, "StartPeriod": 10 * 10**9, "Retries": 3},
        "Labels": {
            "org.opencontainers.image.title": "postrider",
            "org.opencontainers.image.version": version,
            "org.opencontainers.image.revision": revision,
            "org.opencontainers.image.licenses": "MIT OR Apache-2.0",
        },
    }
    config = blob("config.v1+json", json.dumps({
        "created": created, "architecture": architecture, "os": "linux", "config": process,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(files).hexdigest()}"]},
        "history": [{"created": created, "created_by": "cargo xtask dist"}],
    }).encode())
    manifest = blob("manifest.v1+json", json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": [packed],
    }).encode())
    names = {"io.containerd.image.name": f"docker.io/library/{name}", "org.opencontainers.image.ref.name": name.split(":")[1]}
    index = {"schemaVersion": 2, "manifests": [manifest | {"annotations": names}]}
    # What a Docker engine before version 25 reads instead of the index.
    path = {part["digest"]: f"blobs/sha256/{part['digest'].split(':')[1]}" for part in (config, packed)}
    docker = [{"Config": path[config["digest"]], "RepoTags": [name], "Layers": [path[packed["digest"]]]}]
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as out:
        add(out, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        add(out, "index.json", json.dumps(index).encode())
        add(out, "manifest.json", json.dumps(docker).encode())
        for digest, content in sorted(blobs.items()):
            add(out, f"blobs/sha256/{digest}", content)


main(*sys.argv[1:])
