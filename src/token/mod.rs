//! Access tokens, their signing keys, and the opaque values: refresh tokens, one-time secrets, API keys.
