# The daemon as an image, and the root filesystem of the managed plugin (see plugin-config.json).
ARG BASE=node:26-bookworm-slim

FROM ${BASE} AS build
WORKDIR /src
COPY package.json package-lock.json .npmrc rolldown.config.ts tsconfig.json ./
RUN npm ci
COPY src src
RUN npm run build

FROM ${BASE}
# flock and blkid come with util-linux; mount has mount and umount.
RUN apt-get update \
 && apt-get install -y --no-install-recommends btrfs-progs ca-certificates e2fsprogs mount util-linux xfsprogs \
 && rm -rf /var/lib/apt/lists/* /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx
COPY --from=build /src/dist/docker-volume-ebs.mjs /usr/local/lib/docker-volume-ebs.mjs
ENTRYPOINT ["node", "/usr/local/lib/docker-volume-ebs.mjs"]
CMD ["serve"]
