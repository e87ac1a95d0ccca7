# Multi-stage: the toolchain stays in the first stage. A digest can be pinned with --build-arg NODE_IMAGE=node:24-bookworm-slim@sha256:...
ARG NODE_IMAGE=node:24-bookworm-slim

FROM ${NODE_IMAGE} AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends g++ make python3 libvectorscan-dev libpcre2-dev libpcap-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/drawbridge
COPY package.json package-lock.json ./
COPY native/package.json native/
COPY packages/snort-rule-parser/package.json packages/snort-rule-parser/
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY scripts scripts
RUN node scripts/build-optional.mjs
COPY tsconfig.json tsconfig.base.json ./
COPY native native
COPY packages packages
COPY src src
COPY test test
COPY bench bench
RUN node scripts/build.mjs \
 && npm prune --omit=dev --ignore-scripts --no-audit --no-fund \
 && rm -rf dist/test dist/bench test bench native/src

FROM ${NODE_IMAGE}
RUN apt-get update \
 && apt-get install -y --no-install-recommends libvectorscan5 libpcre2-8-0 libpcap0.8 iproute2 \
 && rm -rf /var/lib/apt/lists/* \
 && mkdir -p /etc/drawbridge /var/lib/drawbridge /var/log/drawbridge \
 && chown node:node /var/lib/drawbridge /var/log/drawbridge
COPY --from=build /opt/drawbridge /opt/drawbridge
COPY bin /opt/drawbridge/bin
COPY rules /opt/drawbridge/rules
COPY pcaps /opt/drawbridge/pcaps
COPY examples /opt/drawbridge/examples
COPY examples/container.yaml /etc/drawbridge/drawbridge.yaml
ENV NODE_ENV=production PATH=/opt/drawbridge/bin:$PATH
WORKDIR /var/lib/drawbridge
# Replay, check and the metrics need no capability. Live ports do: see docs/deployment.md for the setpriv line and the flags.
USER node
EXPOSE 9464
VOLUME ["/var/log/drawbridge"]
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=3s --start-period=20s CMD ["node", "/opt/drawbridge/bin/drawbridge", "health"]
ENTRYPOINT ["node", "/opt/drawbridge/bin/drawbridge"]
CMD ["run", "--config", "/etc/drawbridge/drawbridge.yaml"]
