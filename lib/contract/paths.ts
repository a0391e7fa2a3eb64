/** The paths of both functions, as OpenAPI writes them. */
export const ingestPaths = {
  health: "/health",
  stream: "/v1/{stream}",
  event: "/v1/{stream}/{id}",
  webhook: "/v1/{stream}/from/{source}",
  openApi: "/v1/openapi.json",
} as const;

export const supervisorPaths = {
  health: "/health",
  openApi: "/openapi.json",
  drain: "/drain",
  drainStream: "/drain/{stream}",
  status: "/status",
  live: "/live",
  metrics: "/metrics",
  deadLetters: "/dead-letters",
  deadLetter: "/dead-letters/{id}",
  redrive: "/dead-letters/redrive",
  purge: "/dead-letters/purge",
  keys: "/keys",
  usage: "/usage",
  refusals: "/refusals",
  prune: "/prune",
  doctor: "/doctor",
  pauseStream: "/streams/{stream}/pause",
  resumeStream: "/streams/{stream}/resume",
  storedEvent: "/streams/{stream}/events/{id}",
} as const;
