# A small image that runs the service as an ordinary user, with its data in /data.
FROM rust:1-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin adaptd

FROM debian:bookworm-slim
RUN useradd --uid 10001 --home-dir /data --create-home adaptd
COPY --from=build /src/target/release/adaptd /usr/local/bin/adaptd
USER adaptd
VOLUME /data
EXPOSE 8080
ENV ADAPTD_DATA=/data
# The container's own address is not loopback: the service asks for a key, which is made once on the volume by
#   docker run --rm -v adaptd:/data adaptd keys create --name admin --scopes admin
# Behind a proxy that authenticates, ADAPTD_ALLOW_ANONYMOUS=true does without.
ENV ADAPTD_LISTEN=0.0.0.0:8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["adaptd", "health"]
ENTRYPOINT ["adaptd"]
CMD ["serve"]
