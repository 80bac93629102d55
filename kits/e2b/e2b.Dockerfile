# docker build --build-arg SERVER=https://mesa.example.com, or `e2b template build` after editing.
FROM e2bdev/base:latest
ARG SERVER=https://mesa.example.com
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates curl fuse3 \
    && curl -fsSL "$SERVER/install.sh" | sh -s -- --yes --setup-fuse \
    && rm -rf /var/lib/apt/lists/*
