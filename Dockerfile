# The root filesystem of the managed plugin (plugin-config.json), and the daemon as an image. `npm run plugin` builds it.
ARG NODE=node:26-bookworm-slim
ARG BASE=debian:bookworm-slim

FROM ${NODE} AS node

FROM ${BASE}
# xfsprogs brings Python and ICU for xfs_scrub, 75 MB that nothing here runs.
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
      btrfs-progs e2fsprogs libatomic1 libstdc++6 mount util-linux xfsprogs \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /usr/share/doc/* /usr/share/man/* \
      /usr/bin/python3* /usr/lib/python3* /usr/share/python3* /usr/lib/*/libicu* \
 && printf '#!/bin/sh\nexec node /usr/local/lib/docker-volume-ebs.mjs "$@"\n' > /usr/local/bin/docker-volume-ebs \
 && chmod +x /usr/local/bin/docker-volume-ebs
COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY dist/docker-volume-ebs.mjs /usr/local/lib/docker-volume-ebs.mjs
# What the bundle is made of, and the licenses that come with it.
COPY dist/docker-volume-ebs.cdx.json dist/docker-volume-ebs.licenses.txt /usr/local/share/docker-volume-ebs/
ENTRYPOINT ["node", "/usr/local/lib/docker-volume-ebs.mjs"]
CMD ["serve"]
