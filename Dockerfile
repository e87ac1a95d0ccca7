# Multi-stage: the toolchain stays in the first stage. Pin the base by digest with
#   --build-arg NODE_IMAGE=node:24-bookworm-slim@sha256:...
# Built by Docker and by podman (--format docker, for HEALTHCHECK): nothing newer than buildah 1.28 understands.
ARG NODE_IMAGE=node:24-bookworm-slim

FROM ${NODE_IMAGE} AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends g++ make python3 libvectorscan-dev libpcre2-dev libpcap-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/drawbridge
# In the order in which things change: packages, native code, TypeScript.
COPY package.json package-lock.json ./
COPY native/package.json native/
COPY packages/snort-rule-parser/package.json packages/snort-rule-parser/
COPY scripts/build-optional.mjs scripts/
RUN npm ci --ignore-scripts --no-audit --no-fund \
 && node scripts/build-optional.mjs
COPY scripts/build-native.mjs scripts/
COPY native native
RUN node scripts/build-native.mjs
COPY scripts/build-guest.mjs scripts/
COPY guest guest
RUN node scripts/build-guest.mjs
COPY scripts/build.mjs scripts/
COPY tsconfig.json tsconfig.base.json ./
COPY packages packages
COPY src src
RUN node scripts/build.mjs \
 && npm prune --omit=dev --ignore-scripts --no-audit --no-fund \
 && find native node_modules -path '*/build/*' -type f ! -path '*/Release/*.node' -delete \
 && find . -type d -empty -delete \
 && find . -name '*.tsbuildinfo' -delete \
 && rm -rf scripts src guest/*.[ch] guest/build/*.sha256 native/src packages/*/src node_modules/nan node_modules/*/deps node_modules/.package-lock.json
COPY LICENSE ./
COPY bin bin
COPY examples examples
COPY rules rules
COPY pcaps pcaps
# Whatever umask the checkout was made with: everyone may read, nobody but root may write.
RUN chmod -R u=rwX,go=rX .

FROM ${NODE_IMAGE}
LABEL org.opencontainers.image.title="Drawbridge" \
      org.opencontainers.image.description="Agentless security appliance for virtual machines" \
      org.opencontainers.image.licenses="Apache-2.0"
# The log folder is root's and group-writable: root without DAC_OVERRIDE (--cap-drop ALL) writes there as well as user node.
RUN apt-get update \
 && apt-get install -y --no-install-recommends libvectorscan5 libpcre2-8-0 libpcap0.8 iproute2 \
 && rm -rf /var/lib/apt/lists/* \
 && mkdir -p /etc/drawbridge /var/log/drawbridge \
 && chown root:node /var/log/drawbridge \
 && chmod 0775 /var/log/drawbridge
COPY --from=build /opt/drawbridge /opt/drawbridge
COPY --chmod=0644 examples/container.yaml /etc/drawbridge/drawbridge.yaml
COPY --chmod=0755 scripts/container-entry.sh /usr/local/bin/drawbridge-entry
ENV NODE_ENV=production PATH=/opt/drawbridge/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
WORKDIR /var/log/drawbridge
# Replay, check and explain need no capability. Live ports do: see docs/deployment.md for the flags.
USER node
EXPOSE 9464
VOLUME ["/var/log/drawbridge"]
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=3s --start-period=20s CMD ["node", "/opt/drawbridge/bin/drawbridge", "health"]
ENTRYPOINT ["drawbridge-entry"]
CMD ["run", "--config", "/etc/drawbridge/drawbridge.yaml"]
