/**
 * The senders of webhooks, each signing with its provider's own library: Standard Webhooks, GitHub (@octokit/webhooks-methods), Stripe.
 * Shopify and Slack publish no library that signs; they sign here as their documentation shows it, and webhook-vectors.test.ts checks
 * that against published examples.
 */
import { createHmac, randomUUID } from "node:crypto";
import { sign as signAsGithub } from "@octokit/webhooks-methods";
import { Webhook } from "standardwebhooks";
import Stripe from "stripe";

/** A signed delivery, ready to be sent. */
export interface Signed {
  body: Buffer;
  headers: Record<string, string>;
}

export interface Signing {
  secret: string;
  /** Seconds since 1970. @default now */
  atSeconds?: number;
  /** The id that is signed: of the delivery (standard). @default a new one */
  id?: string;
  headers?: Record<string, string>;
}

export type Sender = (body: string | Buffer, signing: Signing) => Promise<Signed>;

const nowSeconds = () => Math.floor(Date.now() / 1000);
const json = { "content-type": "application/json" };
const stripe = new Stripe("sk_test_unused");

const standard: Sender = async (
  given,
  { secret, atSeconds = nowSeconds(), id = `msg_${randomUUID()}`, headers },
) => {
  const body = Buffer.from(given);
  const signature = new Webhook(secret).sign(id, new Date(atSeconds * 1000), body);
  return {
    body,
    headers: {
      ...json,
      ...{ "webhook-id": id, "webhook-timestamp": String(atSeconds), "webhook-signature": signature },
      ...headers,
    },
  };
};

const github: Sender = async (given, { secret, headers }) => {
  const body = Buffer.from(given);
  const signature = await signAsGithub(secret, body.toString());
  return {
    body,
    headers: { ...json, "x-github-event": "push", "x-hub-signature-256": signature, ...headers },
  };
};

const stripeSender: Sender = async (given, { secret, atSeconds = nowSeconds(), headers }) => {
  const body = Buffer.from(given);
  const signature = stripe.webhooks.generateTestHeaderString({
    payload: body.toString(),
    secret,
    timestamp: atSeconds,
  });
  return { body, headers: { ...json, "stripe-signature": signature, ...headers } };
};

const shopify: Sender = async (given, { secret, headers }) => {
  const body = Buffer.from(given);
  const signature = createHmac("sha256", secret).update(body).digest("base64");
  return {
    body,
    headers: { ...json, "x-shopify-topic": "orders/create", "x-shopify-hmac-sha256": signature, ...headers },
  };
};

const slack: Sender = async (given, { secret, atSeconds = nowSeconds(), headers }) => {
  const body = Buffer.from(given);
  const signature = createHmac("sha256", secret).update(`v0:${atSeconds}:`).update(body).digest("hex");
  return {
    body,
    headers: {
      ...json,
      ...{ "x-slack-request-timestamp": String(atSeconds), "x-slack-signature": `v0=${signature}` },
      ...headers,
    },
  };
};

export const senders = { standard, github, stripe: stripeSender, shopify, slack };
export type SenderName = keyof typeof senders;

/** The header with each sender's signature. */
export const signatureHeaders: Record<SenderName, string> = {
  standard: "webhook-signature",
  github: "x-hub-signature-256",
  stripe: "stripe-signature",
  shopify: "x-shopify-hmac-sha256",
  slack: "x-slack-signature",
};
