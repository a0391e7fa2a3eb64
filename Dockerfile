# One image for both services; Terraform's args say which function it serves. The entry point is the functions
# framework's own program: no shell and no npm stand between Cloud Run's SIGTERM and the server.
# Node's flags: dev/stack/node-flags.ts says why. Google's mirror of Docker Hub: Hub itself counts the pulls of everybody who
# builds from one address, and refuses them.

FROM mirror.gcr.io/library/node:24-slim AS build
WORKDIR /app
# No install scripts: what a build needs has none, and the local Postgres of the tests stays out.
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json ./
COPY dev/build.mjs dev/tsconfig.build.json ./dev/
COPY functions ./functions
COPY lib ./lib
COPY drizzle ./drizzle
RUN npm run build
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund

FROM mirror.gcr.io/library/node:24-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
USER node
ENTRYPOINT ["node", "--min-semi-space-size=16", "--max-semi-space-size=16", "/app/node_modules/@google-cloud/functions-framework/build/src/main.js"]
CMD ["--target=ingest"]
