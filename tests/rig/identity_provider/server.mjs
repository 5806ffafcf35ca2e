// Stands in for Microsoft's sign-in: oidc-provider, a certified OpenID provider, with PKCE required and with
// refresh tokens that are good for one use. Its pages (accounts, consent) are ours; so is GET /v1.0/me, which
// answers for whoever the access token belongs to. One JSON object on stdin says what to serve; afterwards
// each line of stdin is a command, answered with one line on stdout.

import https from "node:https";
import readline from "node:readline";
import Provider, { errors, interactionPolicy } from "oidc-provider";

const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const setup = JSON.parse((await lines.next()).value);
const { tenant, clientId, clientSecret, accounts } = setup;
const state = { redirectUris: ["https://localhost/callback"], secret: clientSecret, failures: [], delay: 0, asked: [] };
const SCOPES = ["User.Read", "Mail.ReadWrite", "Mail.Send", "Mail.ReadWrite.Shared", "Mail.Send.Shared"];

const server = https.createServer({ cert: setup.cert, key: setup.key });
await new Promise((resolve) => server.listen(0, "localhost", resolve));
const origin = `https://localhost:${server.address().port}`;

// Other tenants than the usual one have a provider of their own on the same server.
const providers = new Map();
for (const each of [tenant, "organizations"]) providers.set(each, makeProvider(each));

function makeProvider(path) {
  const policy = interactionPolicy.base();
  policy.add(new interactionPolicy.Prompt({ name: "select_account", requestable: true }), 0);
  const provider = new Provider(`${origin}/${path}/v2.0`, {
    clients: [],
    adapter: undefined,
    clientAuthMethods: ["client_secret_post", "client_secret_basic"],
    scopes: ["openid", "offline_access", ...SCOPES],
    claims: { openid: ["sub", "tid", "oid", "name", "preferred_username"], profile: [] },
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    issueRefreshToken: async () => true,
    rotateRefreshToken: () => true,
    interactions: { policy, url: (ctx, interaction) => `/${path}/interaction/${interaction.uid}` },
    features: { devInteractions: { enabled: false } },
    ttl: { AccessToken: () => setup.tokenSeconds ?? 3600, RefreshToken: 86400, Session: 86400, Grant: 86400, Interaction: 3600, IdToken: 3600 },
    cookies: { keys: ["for tests"] },
    async findAccount(ctx, id) {
      const account = accounts.find((one) => one.id === id);
      return account && {
        accountId: id,
        claims: async () => ({ sub: id, oid: id, tid: account.tenantId, name: account.name, preferred_username: account.address }),
      };
    },
    async renderError(ctx, out) {
      ctx.type = "html";
      ctx.body = `<h1>Sorry, but we are having trouble signing you in.</h1><pre>${escape(JSON.stringify(out))}</pre>`;
    },
  });
  // The registration as it is now: tests change its redirect address and its secret.
  provider.Client.find = async (id) => (id === clientId ? new provider.Client({
    client_id: clientId,
    client_secret: state.secret,
    redirect_uris: state.redirectUris,
    grant_types: ["authorization_code", "refresh_token"],
    response_types: ["code"],
    token_endpoint_auth_method: "client_secret_post",
  }) : undefined);
  provider.use(async (ctx, next) => {
    await next();
    const words = MICROSOFT[ctx.body?.error];
    if (ctx.path.endsWith("/token") && words) ctx.body = { ...ctx.body, error_description: `${words}\r\nTrace ID: 0\r\nTimestamp: 2026-11-24` };
  });
  return provider;
}

// The same errors in Microsoft's words.
const MICROSOFT = {
  invalid_client: "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID.",
  invalid_grant: "AADSTS70000: The provided value for the input parameter 'refresh_token' or 'assertion' is not valid.",
};

const escape = (text) => String(text).replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`);
const page = (title, body) => `<!doctype html><html lang="en"><meta charset="utf-8"><title>${title}</title>
<style>body{font:16px/1.5 sans-serif;max-width:26rem;margin:4rem auto}button{display:block;margin:.5rem 0;padding:.5rem 1rem;font:inherit}</style>
<p>Stand-in for Microsoft's sign-in page</p><h1>${title}</h1>${body}`;

function choosePage(action) {
  const buttons = accounts.map((one) => `<button name="account" value="${one.id}">${escape(one.name)} ${escape(one.address)}</button>`);
  return page("Pick an account", `<form method="post" action="${action}">${buttons.join("")}<button name="refuse" value="cancel">Cancel</button></form>`);
}

function consentPage(action, details) {
  const asked = [...(details.missingOIDCScope ?? [])].filter((scope) => SCOPES.includes(scope));
  const boxes = asked.map((scope) => `<label><input type="checkbox" name="scope" value="${scope}" checked> ${scope}</label><br>`);
  return page("Permissions requested", `<form method="post" action="${action}">${boxes.join("")}
<button name="accept" value="yes">Accept</button><button name="refuse" value="declined">Cancel</button><button name="refuse" value="approval">Need admin approval</button></form>`);
}

const REFUSALS = {
  cancel: ["access_denied", "the user canceled the authentication"],
  declined: ["access_denied", "AADSTS65004: User declined to consent to access the app."],
  approval: ["access_denied", "AADSTS90094: Admin consent is required for the permissions requested by this application."],
};

async function interact(provider, path, request, response) {
  const details = await provider.interactionDetails(request, response);
  if (request.method === "GET") {
    const html = details.prompt.name === "consent" ? consentPage(request.url, details.prompt.details) : choosePage(request.url);
    response.writeHead(200, { "Content-Type": "text/html" }).end(html);
    return;
  }
  const form = new URLSearchParams(await read(request));
  const refusal = REFUSALS[form.get("refuse")];
  if (refusal) {
    await provider.interactionFinished(request, response, { error: refusal[0], error_description: refusal[1] });
  } else if (details.prompt.name === "consent") {
    const { params, session, grantId } = details;
    const grant = (grantId && (await provider.Grant.find(grantId))) || new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
    const chosen = form.getAll("scope");
    const asked = details.prompt.details.missingOIDCScope ?? [];
    grant.addOIDCScope(asked.filter((scope) => !SCOPES.includes(scope) || chosen.includes(scope)).join(" "));
    const left = asked.filter((scope) => SCOPES.includes(scope) && !chosen.includes(scope));
    if (left.length) grant.rejectOIDCScope(left.join(" "));
    if (details.prompt.details.missingOIDCClaims) grant.addOIDCClaims(details.prompt.details.missingOIDCClaims);
    await provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } }, { mergeWithLastSubmission: true });
  } else {
    await provider.interactionFinished(request, response, { select_account: {}, login: { accountId: form.get("account") } }, { mergeWithLastSubmission: false });
  }
}

async function read(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts).toString();
}

// Who a token belongs to, whichever provider issued it.
async function grantOf(token) {
  for (const provider of providers.values()) {
    const found = await provider.AccessToken.find(token);
    if (found) return { account: accounts.find((one) => one.id === found.accountId), scopes: found.scope, expiresAt: found.exp };
  }
  return null;
}

async function me(request, response) {
  const grant = await grantOf((request.headers.authorization ?? "").replace(/^Bearer /, ""));
  const answer = (status, body) => response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body));
  if (!grant) return answer(401, { error: { code: "InvalidAuthenticationToken", message: "Access token is empty or not valid." } });
  const { account } = grant;
  const url = new URL(request.url, origin);
  if (url.pathname === "/v1.0/me") {
    return answer(200, { id: account.id, displayName: account.name, mail: account.address, userPrincipalName: account.address,
      proxyAddresses: [`SMTP:${account.address}`, ...account.aliases.map((alias) => `smtp:${alias}`)] });
  }
  if (url.pathname === "/v1.0/organization") return answer(200, { value: [{ displayName: account.tenantName }] });
  const shared = decodeURIComponent(url.pathname).match(/^\/v1\.0\/users\/([^/]+)\/mailFolders\/inbox$/);
  if (shared && account.opens.includes(shared[1])) return answer(200, { id: "inbox", displayName: "Inbox", totalItemCount: 0, unreadItemCount: 0 });
  if (shared) return answer(403, { error: { code: "ErrorAccessDenied", message: "Access is denied. Check credentials and try again." } });
  return answer(404, { error: { code: "Request_ResourceNotFound", message: "not there" } });
}

server.on("request", async (request, response) => {
  try {
    const path = request.url.split("/")[1];
    if (path === "favicon.ico") return response.writeHead(204).end();
    if (path === "v1.0") return await me(request, response);
    const provider = providers.get(path);
    if (!provider) {
      response.writeHead(400, { "Content-Type": "application/json" });
      return response.end(JSON.stringify({ error: "invalid_tenant", error_description: `AADSTS90002: Tenant '${path}' not found.\r\nTrace ID: 0` }));
    }
    if (request.url.startsWith(`/${path}/interaction/`)) return await interact(provider, path, request, response);
    if (request.url.startsWith(`/${path}/v2.0/token`)) return await token(provider, path, request, response);
    return mounted(provider, path, request, response);
  } catch (error) {
    if (!(error instanceof errors.OIDCProviderError)) console.error(error);
    response.writeHead(400, { "Content-Type": "text/html" }).end(page("This sign-in is over", `<p>${escape(error.message)}</p>`));
  }
});

// msal asks for offline_access each time, and the provider gives it only together with prompt=consent.
async function token(provider, path, request, response) {
  const form = new URLSearchParams(await read(request));
  state.asked.push(form.get("grant_type"));
  if (form.get("scope")) form.set("scope", form.get("scope").split(" ").filter((scope) => scope !== "offline_access").join(" "));
  if (state.delay) await new Promise((resolve) => setTimeout(resolve, state.delay));
  const failure = state.failures.shift();
  if (failure) {
    response.writeHead(failure.status, { "Content-Type": "application/json", ...failure.headers });
    return response.end(failure.body);
  }
  request.body = Object.fromEntries(form);
  return mounted(provider, path, request, response);
}

function mounted(provider, path, request, response) {
  request.originalUrl = request.url;
  request.url = request.url.slice(`/${path}/v2.0`.length) || "/";
  return provider.callback()(request, response);
}

const COMMANDS = {
  allow: ({ addresses }) => { state.redirectUris = addresses; },
  secret: ({ value }) => { state.secret = value; },
  fail: ({ failures }) => { state.failures = failures; },
  delay: ({ milliseconds }) => { state.delay = milliseconds; },
  asked: () => state.asked.splice(0),
  who: async ({ token }) => { const found = await grantOf(token); return found && { address: found.account.address, scopes: found.scopes, expiresAt: found.expiresAt }; },
  async revoke({ address }) {
    const account = accounts.find((one) => one.address === address);
    for (const provider of providers.values()) {
      for (const [kind, id] of issued.filter((one) => one[2] === account.id)) await provider[kind].adapter.destroy(id);
    }
  },
};
const issued = [];
for (const provider of providers.values()) {
  for (const kind of ["RefreshToken", "AccessToken", "Grant"]) {
    const upsert = provider[kind].adapter.upsert.bind(provider[kind].adapter);
    provider[kind].adapter.upsert = (id, payload, seconds) => { issued.push([kind, id, payload.accountId]); return upsert(id, payload, seconds); };
  }
}

console.log(JSON.stringify({ origin }));
for await (const line of lines) {
  const { command, ...options } = JSON.parse(line);
  console.log(JSON.stringify((await COMMANDS[command](options)) ?? null));
}
process.exit(0);
