// A client in the manner of the NomaCMS JavaScript SDK: the same method names, events, error classes and token handling.
// Node built-ins only; trust of the server's CA comes from NODE_EXTRA_CA_CERTS.

export class NomaError extends Error {
  constructor(message, { statusCode, code, details, requestInfo } = {}) {
    super(message);
    Object.assign(this, { name: new.target.name, statusCode, code, details, requestInfo });
  }
}
export class AuthenticationError extends NomaError {}
export class AuthorizationError extends NomaError {}
export class NotFoundError extends NomaError {}
export class ValidationError extends NomaError {}
export class RateLimitError extends NomaError {}
export class ServerError extends NomaError {}
export class NetworkError extends NomaError {}
export class TimeoutError extends NomaError {}

const CLASSES = new Map([
  [401, [AuthenticationError, 'AUTHENTICATION_ERROR']],
  [403, [AuthorizationError, 'AUTHORIZATION_ERROR']],
  [404, [NotFoundError, 'NOT_FOUND']],
  [422, [ValidationError, 'VALIDATION_ERROR']],
  [429, [RateLimitError, 'RATE_LIMIT_ERROR']],
  ...[500, 502, 503, 504].map((status) => [status, [ServerError, 'SERVER_ERROR']]),
]);

// Body to error: `message`, else `error`; the body's `code` before the class's; `errors` or `details`, else the rest.
function errorOf(status, body, requestInfo) {
  const [Class, fallback] = CLASSES.get(status) ?? [NomaError, undefined];
  const { message, error, code, errors, details, ...rest } = body ?? {};
  const told = { statusCode: status, code: code ?? fallback, details: errors ?? details ?? rest, requestInfo };
  return new Class(message ?? error ?? `HTTP ${status}`, told);
}

const memory = () => {
  let access, refresh;
  return {
    getAccessToken: () => access,
    setAccessToken: (token) => void (access = token),
    getRefreshToken: () => refresh,
    setRefreshToken: (token) => void (refresh = token),
    clear: () => void (access = refresh = undefined),
  };
};

export function createClient({ projectId, baseUrl, timeout = 30_000, projectUserAuth = {} }) {
  if (!projectId) throw new ValidationError('projectId is required', { code: 'VALIDATION_ERROR' });
  const base = baseUrl.replace(/\/+$/, '');
  const { autoRefresh = true, tokenStorage: tokens = memory() } = projectUserAuth;
  const listeners = new Set();
  let session = {};
  let refreshing;

  if (projectUserAuth.accessToken) tokens.setAccessToken(projectUserAuth.accessToken);
  if (projectUserAuth.refreshToken) tokens.setRefreshToken(projectUserAuth.refreshToken);

  const getSession = () => ({
    accessToken: tokens.getAccessToken(),
    refreshToken: tokens.getRefreshToken(),
    ...session,
  });
  const emit = (event) => listeners.forEach((listener) => listener(event, getSession()));

  async function call(method, path, { data, bearer } = {}) {
    const requestInfo = { method, url: `${base}${path}` };
    const headers = { accept: 'application/json', 'project-id': projectId };
    if (data !== undefined) headers['content-type'] = 'application/json';
    if (bearer) headers.authorization = `Bearer ${bearer}`;
    let response, body;
    try {
      const init = { method, headers, body: data && JSON.stringify(data), signal: AbortSignal.timeout(timeout) };
      response = await fetch(requestInfo.url, init);
      body = await response.json();
    } catch (cause) {
      if (cause.name === 'TimeoutError') throw new TimeoutError('timed out', { code: 'TIMEOUT_ERROR', requestInfo });
      throw new NetworkError(cause.message, { code: 'NETWORK_ERROR', requestInfo });
    }
    if (!response.ok) throw errorOf(response.status, body, requestInfo);
    return body;
  }

  // A 401 is answered with one refresh and one more try.
  async function authenticated(method, path, data) {
    const bearer = tokens.getAccessToken();
    try {
      return await call(method, path, { data, bearer });
    } catch (error) {
      if (!(error instanceof AuthenticationError) || !autoRefresh) throw error;
      try {
        if (!tokens.getRefreshToken()) throw error;
        // Another call may have refreshed while this one was under way.
        if (tokens.getAccessToken() === bearer) await refreshSession();
      } catch {
        forget();
        emit('auth_error');
        throw error;
      }
      return call(method, path, { data, bearer: tokens.getAccessToken() });
    }
  }

  function keep(payload, event) {
    if (!payload.access_token) return payload; // 202: no session yet
    tokens.setAccessToken(payload.access_token);
    tokens.setRefreshToken(payload.refresh_token);
    const { expires_at: expiresAt, refresh_token_expires_at: refreshTokenExpiresAt, user } = payload;
    session = { expiresAt, refreshTokenExpiresAt, user };
    emit(event);
    return payload;
  }

  function forget() {
    tokens.clear();
    session = {};
  }

  const open = async (path, data, event) => keep(await call('POST', path, { data }), event);

  // Calls at the same time share one refresh.
  function refreshSession() {
    const data = { refresh_token: tokens.getRefreshToken() };
    refreshing ??= open('/auth/refresh', data, 'token_refreshed').finally(() => (refreshing = undefined));
    return refreshing;
  }

  async function end(path) {
    const reply = await authenticated('POST', path);
    forget();
    emit('signed_out');
    return reply;
  }

  return {
    auth: {
      signUp: (data) => open('/auth/signup', data, 'signed_in'),
      signInWithPassword: (data) => open('/auth/login', data, 'signed_in'),
      signInWithSocial: (data) => open('/auth/login/social', data, 'signed_in'),
      refreshSession,
      me: async () => (await authenticated('GET', '/auth/me')).user,
      changePassword: (data) => authenticated('POST', '/auth/change-password', data),
      signOut: () => end('/auth/logout'),
      signOutAll: () => end('/auth/logout-all'),
      resendVerificationEmail: (data) => call('POST', '/auth/verify-email/resend', { data }),
      confirmVerificationEmail: (data) => call('POST', '/auth/verify-email/confirm', { data }),
      listUserApiKeys: () => authenticated('GET', '/auth/api-keys'),
      createUserApiKey: (data) => authenticated('POST', '/auth/api-keys', data),
      revokeUserApiKey: (id) => authenticated('POST', `/auth/api-keys/${encodeURIComponent(id)}/revoke`),
      getSession,
      onAuthStateChange(listener) {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    },
    projectUserAuth: {
      setSession({ accessToken, refreshToken, expiresAt }) {
        tokens.setAccessToken(accessToken);
        tokens.setRefreshToken(refreshToken);
        session = { expiresAt };
      },
    },
  };
}
