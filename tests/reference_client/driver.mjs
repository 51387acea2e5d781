// Drives the reference client for the tests: one JSON command a line on stdin, one JSON report a line on stdout.
// The host's part (identity, token store) is a folder, so that it outlives the process as a real host's does.
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import {
  GatewayClient,
  GatewayScopeUpgrade,
  createSessionProjection,
  getGatewaySessionMessageSubscriptionCoordinator,
  projectLiveSessionMessage,
  reconcileSessionProjectionSnapshot,
  reduceSessionProjection,
  reduceSessionProjectionRunEvent,
  resetGatewaySessionMessageSubscriptionCoordinator,
} from "@openclaw/gateway-client";

const folder = process.argv[2];
const identityFile = join(folder, "identity.json");
const tokensFile = join(folder, "tokens.json");

const report = (on, more = {}) => process.stdout.write(`${JSON.stringify({ on, ...more })}\n`);
const read = (file) => (existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : {});

const rawPublicKey = (pem) => createPublicKey(pem).export({ type: "spki", format: "der" }).subarray(-32);

function identity() {
  if (!existsSync(identityFile)) {
    const pair = generateKeyPairSync("ed25519");
    const publicKeyPem = pair.publicKey.export({ type: "spki", format: "pem" });
    const privateKeyPem = pair.privateKey.export({ type: "pkcs8", format: "pem" });
    const deviceId = createHash("sha256").update(rawPublicKey(publicKeyPem)).digest("hex");
    writeFileSync(identityFile, JSON.stringify({ deviceId, publicKeyPem, privateKeyPem }));
  }
  return read(identityFile);
}

const hostDeps = {
  loadOrCreateDeviceIdentity: identity,
  signDevicePayload: (pem, payload) => sign(null, Buffer.from(payload), createPrivateKey(pem)).toString("base64url"),
  publicKeyRawBase64UrlFromPem: (pem) => rawPublicKey(pem).toString("base64url"),
  loadDeviceAuthToken: ({ role }) => read(tokensFile)[role] ?? null,
  storeDeviceAuthToken: ({ role, token, scopes }) => {
    writeFileSync(tokensFile, JSON.stringify({ ...read(tokensFile), [role]: { token, scopes } }));
    report("token stored", { role, scopes });
  },
  clearDeviceAuthToken: ({ role }) => {
    const { [role]: _gone, ...kept } = read(tokensFile);
    writeFileSync(tokensFile, JSON.stringify(kept));
    report("token cleared", { role });
  },
};

let client;
let started;
let projection;
const describe = (error) => ({
  message: error.message,
  code: error.gatewayCode ?? error.code,
  details: error.details,
  retryable: error.retryable,
});

function project({ event, payload }) {
  const ours = projection?.scope.sessionKey;
  if (!ours || payload?.sessionKey !== ours) return;
  if (event === "session.message") {
    projection = projectLiveSessionMessage(projection, payload.message, payload);
  } else if (event === "chat") {
    if (payload.state === "delta") {
      projection = reduceSessionProjection(projection, {
        type: "runDelta", runId: payload.runId, message: payload.message,
      });
    } else {
      projection = reduceSessionProjectionRunEvent(projection, payload)?.projection ?? projection;
    }
  }
}

async function snapshot(sessionKey, limit) {
  projection ??= createSessionProjection({ sessionKey });
  const history = await client.request("chat.history", { sessionKey, limit });
  projection = reconcileSessionProjectionSnapshot(projection, history.messages);
}

const commands = {
  start(options) {
    started = options;
    client = new GatewayClient({
      minProtocol: 4,
      maxProtocol: 4,
      ...options,
      hostDeps: { ...hostDeps, ...(options.withoutDevice ? { loadOrCreateDeviceIdentity: () => undefined } : {}) },
      onHelloOk: (hello) => report("hello", { hello }),
      onEvent: (event) => {
        project(event);
        report("event", { event });
      },
      onConnectError: (error) => report("refused", { error: describe(error) }),
      onReconnectPaused: (info) => report("paused", info),
      onClose: (code, reason) => {
        resetGatewaySessionMessageSubscriptionCoordinator(client);
        report("closed", { code, reason });
      },
      onGap: (info) => report("gap", info),
    });
    client.start();
  },
  async request({ id, method, params, expectFinal }) {
    try {
      report("answer", { id, payload: await client.request(method, params, { expectFinal }) });
    } catch (error) {
      report("answer", { id, error: describe(error) });
    }
  },
  async subscribe({ id, key }) {
    const lease = await getGatewaySessionMessageSubscriptionCoordinator(client).acquire(key);
    report("answer", { id, payload: lease });
  },
  async follow({ id, key, limit }) {
    await snapshot(key, limit);
    report("answer", { id, payload: null });
  },
  projection({ id }) {
    const { messages, runs } = projection;
    report("answer", { id, payload: { messages, runs } });
  },
  // As a page does it: the upgrade's token takes the stored one's place, and the next connection brings it.
  async upgrade({ id, scopes }) {
    const upgrade = new GatewayScopeUpgrade({
      request: (method, params, options) => client.request(method, params, options),
      tokenStore: {
        store: ({ role, token, scopes: granted }) => hostDeps.storeDeviceAuthToken({ role, token, scopes: granted }),
      },
      reconnect: () => {
        client.stop();
        commands.start({ ...started, token: undefined, scopes });
      },
    });
    const binding = { clientId: started.clientName, deviceId: identity().deviceId, role: "operator" };
    const onPending = (requestId) => report("pending", { requestId });
    report("answer", { id, payload: await upgrade.requestScopeUpgrade({ binding, scopes, onPending }) });
  },
  async stop({ id }) {
    await client.stopAndWait({ timeoutMs: 5000 });
    report("answer", { id, payload: null });
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { do: name, ...args } = JSON.parse(line);
  Promise.resolve(commands[name](args)).catch((error) => report("answer", { id: args.id, error: describe(error) }));
}
process.exit(0);
