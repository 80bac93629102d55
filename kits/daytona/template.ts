import { Image } from "@daytonaio/sdk";

/** An image with mesa of this server in it. */
export const image = (server: string) =>
  Image.debianSlim("3.12").dockerfileCommands([
    // Slim images have no curl; without it the installer's line would do nothing and not say so.
    "RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates curl fuse3 \
      && rm -rf /var/lib/apt/lists/*",
    `RUN curl -fsSL ${server}/install.sh -o /tmp/install.sh && sh /tmp/install.sh --yes --setup-fuse`,
  ]);
