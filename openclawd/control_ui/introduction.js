// What this page says of itself in `connect`, signed over one challenge, and with which credential.

import { randomHex } from "./bytes.js";
import { pickCredential } from "./credentials.js";
import { browserName } from "./format.js";
import { signConnect } from "./identity.js";
import { pageVersion } from "./place.js";

const ROLE = "operator";
const SCOPES = ["operator.admin", "operator.read", "operator.write", "operator.approvals", "operator.pairing"];

const client = {
  id: "openclaw-control-ui",
  displayName: browserName(navigator.userAgent),
  version: pageVersion,
  platform: navigator.platform || "web",
  mode: "ui",
  instanceId: randomHex(16),
};

// What a gateway says of itself in the challenge that can tell again what was missed.
const RESUME = "resume";

/**
 * position: {epoch, seq} of the last event that was heard, or null. Gives {params, sent, secretKind, deviceToken}: `sent` the kind of the credential ("secret", "device" or "none"),
 * `secretKind` "token" or "password" where it is a secret, `deviceToken` where it is one.
 */
export function introduce(challenge, position) {
  const credential = pickCredential();
  const signedAt = Number.isSafeInteger(challenge.ts) ? challenge.ts : Date.now();
  const device = signConnect({
    client, role: ROLE, scopes: SCOPES, token: credential?.signed ?? "", nonce: challenge.nonce, signedAt,
  });
  return {
    params: {
      minProtocol: 3,
      maxProtocol: 4,
      client,
      role: ROLE,
      scopes: SCOPES,
      caps: ["tool-events"],
      device,
      ...(credential && { auth: credential.auth }),
      ...(Array.isArray(challenge.capabilities) && challenge.capabilities.includes(RESUME) && { resume: position ?? {} }),
      locale: navigator.language || "en",
      userAgent: navigator.userAgent,
    },
    sent: credential?.kind ?? "none",
    secretKind: credential?.auth.password ? "password" : "token",
    deviceToken: credential?.auth.deviceToken,
  };
}
