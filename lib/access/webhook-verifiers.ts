/**
 * The checks of all declared sources, made once at start from the secrets in the environment. A source without a usable secret has
 * none: it answers 503, and a doubt names its variable. So one stream's missing secret stops no other.
 */
import type { IncomingHttpHeaders } from "node:http";
import { environmentNames } from "../config.ts";
import type { Doubt } from "../config-doubts.ts";
import type { Registry } from "../schema/registry.ts";
import type { WebhookKind, WebhookSource } from "../schema/webhook.ts";
import { githubVerify } from "./webhook-github.ts";
import { shopifyVerify } from "./webhook-shopify.ts";
import type { Verified, Verify } from "./webhook-signature.ts";
import { slackVerify } from "./webhook-slack.ts";
import { standardVerify } from "./webhook-standard.ts";
import { stripeVerify } from "./webhook-stripe.ts";

const makers: Record<WebhookKind, (secret: string) => Verify> = {
  standard: standardVerify,
  github: githubVerify,
  stripe: stripeVerify,
  shopify: shopifyVerify,
  slack: slackVerify,
};

/** Finds the check of a source; undefined: it has no usable secret. */
export type FindVerify = (source: WebhookSource) => Verify | undefined;

/** Makes the checks of all sources, and says what is doubtful about their secrets: never with the secret itself. */
export function openVerifiers(
  streams: Registry,
  environment: Readonly<Record<string, string | undefined>>,
): { findVerify: FindVerify; doubts: Doubt[] } {
  const verifiers = new Map<WebhookSource, Verify>();
  const doubts: Doubt[] = [];
  for (const stream of streams.values())
    for (const source of stream.webhooks.values()) {
      const { kind, name, secretEnv: setting } = source;
      // A setting of ours is never a sender's secret.
      const value = environmentNames.includes(setting) ? undefined : environment[setting];
      const secrets = secretsIn(value);
      const { usable, unusable } = verifiersOf(kind, secrets);
      doubts.push(...shortDoubts(setting, secrets));
      for (const place of unusable)
        doubts.push({
          setting,
          reason: `its secret ${place} is not usable: expected base64, with or without whsec_ before it`,
        });
      if (usable.length > 0) verifiers.set(source, anyOf(usable));
      else
        doubts.push({
          setting,
          reason: `it has no usable secret, so the webhook source "${name}" of "${stream.name}" answers 503`,
        });
    }
  return { findVerify: (source) => verifiers.get(source), doubts };
}

const secretsIn = (text = ""): string[] => text.split(/[\s,]+/).filter((secret) => secret !== "");

/** Senders make secrets of 16 characters and more; one that a person made up may hold spaces. */
const SHORT = 8;

const shortDoubts = (setting: string, secrets: readonly string[]): Doubt[] =>
  secrets.flatMap((secret, i) =>
    secret.length >= SHORT
      ? []
      : [
          {
            setting,
            reason: `its secret ${i + 1} has fewer than ${SHORT} characters: spaces and commas stand between secrets, so a secret that holds one is taken apart`,
          },
        ],
  );

/** Makes the checks of a source's secrets; `unusable`: the places of those that can't be used, the first being 1. */
function verifiersOf(kind: WebhookKind, secrets: readonly string[]) {
  const usable: Verify[] = [];
  const unusable: number[] = [];
  for (const [i, secret] of secrets.entries()) {
    try {
      usable.push(makers[kind](secret));
    } catch {
      unusable.push(i + 1);
    }
  }
  return { usable, unusable };
}

/** Tries one secret after the other. */
const anyOf =
  (verifiers: readonly Verify[]): Verify =>
  (headers: IncomingHttpHeaders, rawBody: Buffer, nowMs: number): Verified | undefined => {
    for (const verify of verifiers) {
      const verified = verify(headers, rawBody, nowMs);
      if (verified) return verified;
    }
    return undefined;
  };
