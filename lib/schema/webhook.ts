/**
 * What a stream declares of its webhooks: whose signatures it takes in place of an API key, and how a delivery becomes an event.
 * Checking a signature is access's work (lib/access/webhook-verifiers.ts); webhook-delivery.ts makes the event.
 */

/** What Spillway knows of a sender, beside its way to sign. */
interface KindOfWebhook {
  /** How long its delivery may take until it is answered, in milliseconds: less than the sender waits. */
  withinMs: number;
  /** The beginning of the names of its own headers. */
  headerPrefix: string;
  /** Its header with the signature. */
  signatureHeader: string;
  /** The field of the body, which is signed, that holds the delivery's id. undefined: it has none there. */
  idField: string | undefined;
}

export const webhookKinds = {
  /** Standard Webhooks (standardwebhooks.com), with the symmetric scheme v1. It advises senders to wait for 15 to 30 s. */
  standard: {
    withinMs: 14_000,
    headerPrefix: "webhook-",
    signatureHeader: "webhook-signature",
    idField: undefined,
  },
  /** GitHub waits for 10 s, and does not send again by itself. */
  github: {
    withinMs: 9000,
    headerPrefix: "x-github-",
    signatureHeader: "x-hub-signature-256",
    idField: undefined,
  },
  /** Stripe publishes no time; people have measured 20 to 30 s. */
  stripe: {
    withinMs: 10_000,
    headerPrefix: "stripe-",
    signatureHeader: "stripe-signature",
    idField: "id",
  },
  /** Shopify waits for 5 s. */
  shopify: {
    withinMs: 4500,
    headerPrefix: "x-shopify-",
    signatureHeader: "x-shopify-hmac-sha256",
    idField: undefined,
  },
  /** Slack's Events API waits for 3 s. */
  slack: {
    withinMs: 2500,
    headerPrefix: "x-slack-",
    signatureHeader: "x-slack-signature",
    idField: "event_id",
  },
} as const satisfies Record<string, KindOfWebhook>;

/** A way to sign. */
export type WebhookKind = keyof typeof webhookKinds;

/** The most bytes of a webhook's body, whatever its source declares. */
export const WEBHOOK_MAX_BYTES = 1_048_576;
/** The longest time that a source may declare, in milliseconds: ingest answers every request within it. */
export const WEBHOOK_WITHIN_MAX_MS = 45_000;

/** A delivery whose signature holds, as a stream sees it. */
export interface WebhookDelivery {
  /** The body's JSON, parsed. Integers beyond ±(2^53−1) have changed; they are whole in `rawBody`. */
  body: unknown;
  /**
   * The sender's own headers (`x-github-*`, `x-shopify-*`, `webhook-*` and so on) without the signature, in lower case. Only the
   * body is signed, and with Standard Webhooks the id: an event type that stands in a header (GitHub, Shopify) may be forged by
   * whoever has seen a delivery.
   */
  headers: Readonly<Record<string, string>>;
  rawBody: Buffer;
}

/** A source of webhooks, as a stream declares it. */
export interface Webhook<Event> {
  /** Whose signatures it takes. @default the source's name, if that is one of them */
  kind?: WebhookKind;
  /**
   * The variable of ingest's environment that holds the secret; or several secrets, with spaces or commas between them, while the
   * sender changes from one to the next.
   */
  secretEnv: string;
  /**
   * Turns a delivery into an event that fits the schema; null: the delivery is ignored. If it throws, or the event does not fit, the
   * delivery becomes a dead letter, which a redrive gives to it again.
   */
  toEvent(delivery: WebhookDelivery): Event | null;
  /** The most bytes of a body. @default 1048576, which is the most */
  maxBytes?: number;
  /** How long a delivery may take until it is answered, in milliseconds. @default less than the sender waits */
  withinMs?: number;
}

/** The sources of a stream, by the name that each has in the URL: `POST /v1/{stream}/from/{source}`. */
export type Webhooks<Event> = Readonly<Record<string, Webhook<Event>>>;

/** A source of webhooks as the rest of Spillway sees it. */
export interface WebhookSource {
  readonly name: string;
  readonly kind: WebhookKind;
  readonly secretEnv: string;
  readonly toEvent: (delivery: WebhookDelivery) => unknown;
  readonly maxBytes: number;
  readonly withinMs: number;
}

/** Fills in what a declaration leaves out. Only for a declaration without errors (webhook-errors.ts). */
export function webhookSources(webhooks: Webhooks<unknown> = {}): ReadonlyMap<string, WebhookSource> {
  return new Map(
    Object.entries(webhooks).map(([name, webhook]) => {
      const kind = kindOf(name, webhook) as WebhookKind;
      const { secretEnv, maxBytes = WEBHOOK_MAX_BYTES, withinMs = webhookKinds[kind].withinMs } = webhook;
      const toEvent = (delivery: WebhookDelivery) => webhook.toEvent(delivery);
      return [name, { name, kind, secretEnv, toEvent, maxBytes, withinMs }];
    }),
  );
}

/** The kind of a source; undefined: neither its declaration nor its name says it. */
export function kindOf(name: string, { kind }: Pick<Webhook<unknown>, "kind">): WebhookKind | undefined {
  const named = kind ?? name;
  return Object.hasOwn(webhookKinds, named) ? (named as WebhookKind) : undefined;
}
