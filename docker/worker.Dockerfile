# The worker's image, in either build. `cargo xtask images` makes both. To build one by hand, from the root:
#
#   docker build -f docker/worker.Dockerfile --build-arg FEATURES=lean -t postrider:lean .
#
# Nothing here needs BuildKit, so that every engine and every version of compose can build it.

ARG RUST_IMAGE=docker.io/library/rust:1.95.0-slim-bookworm
# The same Debian release as the image above, so that the C library fits.
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot

# Extracts the files that decide the dependencies. This runs with each change, but its result rarely changes.
FROM ${RUST_IMAGE} AS skeleton
WORKDIR /src
COPY . .
RUN sh docker/skeleton.sh /src

# The dependencies: the slow part, cached until a manifest changes.
FROM ${RUST_IMAGE} AS dependencies
# A profile of Cargo: `release`, or `dev` to build fast.
ARG PROFILE=release
# Function names are enough for a backtrace here; lines would double the size.
ENV CARGO_PROFILE_RELEASE_STRIP=debuginfo CARGO_PROFILE_DEV_STRIP=debuginfo CARGO_TERM_COLOR=never
WORKDIR /src
COPY --from=skeleton /src .
# The dependencies of the lean build. The other build needs them, too, so both images share this layer.
RUN cargo build --locked --package postrider --profile "$PROFILE" --no-default-features
# `otel` or `lean`: with OpenTelemetry or without.
ARG FEATURES=otel
RUN case "$FEATURES" in otel) flags= ;; lean) flags=--no-default-features ;; \
        *) echo "FEATURES is '$FEATURES'; write otel or lean" >&2; exit 1 ;; esac; \
    echo "cargo build --locked --package postrider --profile $PROFILE $flags" >/build && sh -e /build

FROM dependencies AS build
# Remove the skeleton's empty files first: the real ones may have other paths.
RUN rm -rf crates xtask
COPY . .
# Cargo compares modification times, and the checkout may be older than the skeleton that was just built.
RUN find crates -name '*.rs' -exec touch {} + && sh -e /build && install -D target/*/postrider /out/postrider

FROM ${RUNTIME_IMAGE}
ARG VERSION=unknown
ARG REVISION=unknown
ARG FEATURES=otel
LABEL org.opencontainers.image.title="postrider" \
    org.opencontainers.image.description="Reliable HTTP jobs from Redis, with a trace for every delivery (${FEATURES})" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}" \
    org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=build /out/postrider /usr/local/bin/postrider
# By number, so that Kubernetes can check that it is not root. Run it with a read-only root: it writes no files.
USER 65532:65532
WORKDIR /
# For /livez, /readyz and /metrics.
ENV POSTRIDER_LISTEN=0.0.0.0:9464
EXPOSE 9464
# The worker shuts down within its --shutdown-timeout (25 s) and 2 s for telemetry: give it 30 s.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 CMD ["/usr/local/bin/postrider", "health"]
ENTRYPOINT ["/usr/local/bin/postrider"]
CMD ["worker"]
