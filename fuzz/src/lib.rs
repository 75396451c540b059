//! What fuzz targets share, and the list of everything that reads bytes from outside.
//!
//! | what comes from outside | where it is read | target |
//! |---|---|---|
//! | a connection: HTTP/1.1, TLS handshakes | `net` | `connection` |
//! | requests: paths, queries, headers, cookies, JSON, forms, of all three APIs, the pages and CORS | `http`, `dialect` | `request` |
//! | requests of the operator on the control socket, exports and backups they bring | `admin` | `control_request` |
//! | JSON bodies | `http::body` | `json_body` |
//! | `Authorization`, a proxy's name for a request, moments | `http`, `auth` | `header_fields` |
//! | `X-Forwarded-For`, `Forwarded` | `net::client_address` | `client_address` |
//! | addresses of accounts | `data::email` | `email` |
//! | access tokens: PASETO, EdDSA | `token` | `access_token` |
//! | JWTs that others check, paths of claims, metadata they lead into | `token` | `hasura_jwt` |
//! | session tokens, and the headers and cookies that bring them | `token`, `dialect::nora` | `session_token` |
//! | refresh tokens, API keys, tickets, codes, PKCE | `token` | `opaque_tokens` |
//! | redirect targets, and the patterns they are held against | `config::redirects` | `redirect_target` |
//! | hashes of passwords from elsewhere | `crypto::password` | `imported_hash` |
//! | Nora's users, as CSV or JSON lines | `cli::import` | `nora_rows` |
//! | Nhost Auth's tables, as CSV | `cli::import` | `nhost_tables` |
//! | Nhost Auth's environment file | `config::from_nhost` | `nhost_environment` |
//! | exported lines | `data::portable` | `portable_lines` |
//! | backups, the header of encrypted ones | `backup` | `backup_archive` |
//! | a project's file and its mark, brought back or damaged, and formats before today's | `store` | `project_file` |
//! | records and sealed values in such a file, also on the way from an earlier format | `data`, `crypto::seal` | `stored_records` |
//! | TOML, the environment, `--set`; durations, limits, addresses, URLs, patterns in them | `config` | `configuration` |
//! | certificates, keys, age identities and recipients, master keys | `net`, `token`, `backup`, `crypto` | `key_files` |
//! | mail templates of an operator, in either layout | `mail` | `mail_templates` |
//! | what a mail server says | `mail::transport` | `smtp_server` |
//! | what services say that are asked about a sign-up: HTTP, bot protection, leaked passwords | `outbound`, `auth` | `outside_answers` |
//!
//! No target is needed for answers of ACME servers and what their account file holds (`instant_acme` reads both into its own
//! types, and the chain comes through what `key_files` feeds), for answers to webhooks and to mails over HTTP (their status
//! is all that is looked at), for the catalog of projects (a hint that is made anew when it cannot be read), and for what is
//! not outside: arguments of commands, what the server answers to them, what the operating system and systemd say of
//! themselves (`/proc`, `LISTEN_FDS`). The PROXY protocol is not spoken; HTTP/2 is, but only behind a TLS handshake, and its
//! frames are read by `h2` alone, which is fuzzed where it is made.
//!
//! A test in `tests/tidy.rs` holds this table, the manifest and the folders to one another. The inputs that a target begins
//! with are in `corpus/NAME`, words worth trying may stand in `dictionaries/NAME`, and `.ci/fuzz` runs it. An input that
//! finds something goes into the corpus in its smallest form (`cargo fuzz tmin`), beside the regression test of the fix.
//! The keys in the corpora were made for it and open nothing.

pub mod folder;
pub mod house;
