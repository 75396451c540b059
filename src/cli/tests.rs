//! The command line as functions: what is typed, what comes out, which exit code.

mod mail;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Cursor, Write};
use std::path::Path;
use std::rc::Rc;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Console, Surroundings, run};
use crate::config::{Overrides, Settings, load};
use crate::env::Env;
use crate::testing::Server;

#[derive(Clone, Default)]
struct Kept(Rc<RefCell<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Kept {
    fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).unwrap()
    }
}

/// What a command did.
#[derive(Debug)]
struct Told {
    code: u8,
    out: String,
    err: String,
}

impl Told {
    #[track_caller]
    fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self.out
    }

    #[track_caller]
    fn json(self) -> Value {
        let out = self.ok();
        assert_eq!(out.lines().count(), 1, "one line of JSON: {out}");
        serde_json::from_str(&out).unwrap()
    }

    #[track_caller]
    fn fails(self, code: u8, said: &str) {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        assert!(self.err.contains(said), "{}", self.err);
    }
}

/// A data directory and the variables that lead to it.
struct Desk {
    dir: TempDir,
    variables: BTreeMap<String, String>,
}

impl Desk {
    /// One where a server has been.
    fn new() -> Self {
        let desk = Self::empty();
        block_on(async { Server::run(desk.settings()).await.stop().await });
        desk
    }

    /// One where none has been.
    fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = dir.path().join("data").display().to_string();
        let variables = [
            ("KEYSTEAD_DATA_DIR", data_dir.as_str()),
            ("KEYSTEAD_LISTEN__ADDRESSES", "127.0.0.1:0"),
            ("KEYSTEAD_HASHING__MEMORY_KIB", "8"),
            ("KEYSTEAD_HASHING__ITERATIONS", "1"),
            ("KEYSTEAD_HASHING__THREADS", "1"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Self { dir, variables }
    }

    fn data(&self) -> std::path::PathBuf {
        self.dir.path().join("data")
    }

    fn settings(&self) -> Settings {
        load(&Overrides::default(), &self.variables).unwrap()
    }

    /// Runs a command in a script, with `input` on its standard input.
    fn script(&self, args: &str, input: &str) -> Told {
        self.at(args, input, false)
    }

    /// Runs a command for a person who types `input`.
    fn person(&self, args: &str, input: &str) -> Told {
        self.at(args, input, true)
    }

    fn at(&self, args: &str, input: &str, terminal: bool) -> Told {
        let (out, err) = (Kept::default(), Kept::default());
        let input = Box::new(Cursor::new(input.as_bytes().to_vec()));
        let console = Console { input, terminal, out: Box::new(out.clone()), err: Box::new(err.clone()) };
        let mut around = Surroundings { environment: Ok(self.variables.clone()), console, env: Env::system() };
        let code = run(["keystead"].into_iter().chain(args.split_whitespace()).map(Into::into), &mut around);
        Told { code, out: out.text(), err: err.text() }
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

#[test]
fn the_same_answers_with_and_without_a_server() {
    let desk = Desk::new();
    desk.script("user create ada@example.com --name Ada --verified", "correct horse\n").ok();
    let questions = [
        "project list --json",
        "project show --json",
        "project show default",
        "user list",
        "user show ada@example.com --json",
        "session list --json",
        "key list",
        "user show nobody@example.com",
        "project delete other --yes",
    ];
    let ask = |question: &&str| desk.script(question, "");
    let stopped: Vec<_> = questions.iter().map(ask).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = runtime.block_on(Server::run(desk.settings()));
    let running: Vec<_> = questions.iter().map(ask).collect();
    // The other way is really taken: the directory is not free now.
    desk.script("user disable ada@example.com", "").ok();
    runtime.block_on(server.stop());
    for ((question, before), during) in questions.iter().zip(stopped).zip(running) {
        assert_eq!((before.code, before.err), (during.code, during.err), "{question}");
        // The URL of a running server has its real port.
        if !question.starts_with("project show") {
            assert_eq!(before.out, during.out, "{question}");
        }
    }
    assert!(desk.script("user show ada@example.com --json", "").json()["disabled_at"].is_string());
}

#[test]
fn accounts_from_the_command_line() {
    let desk = Desk::new();
    let made =
        desk.script("user create Ada@example.com --json --metadata {\"plan\":\"pro\"}", "correct horse\r\nx").json();
    assert_eq!((&made["email"], &made["metadata"]), (&json!("Ada@example.com"), &json!({"plan": "pro"})));
    desk.script("user create ada@EXAMPLE.com --no-password", "").fails(1, "the address is taken");
    desk.script("user create eve@example.com", "").fails(1, "no password came");
    desk.script("user create eve@example.com --metadata [1]", "x").fails(2, "write a JSON object");
    desk.script("user create eve@example.com --generate --no-password", "").fails(2, "cannot be used with");
    desk.script("user create nonsense --no-password", "").fails(1, "not a valid email address");

    let told = desk.script("user set-password ada@example.com --generate --json", "").json();
    assert_eq!(told["password"].as_str().unwrap().len(), 20);
    assert_eq!(desk.script("user show ada@example.com --json", "").json()["password"], Value::Null);
    let file = desk.dir.path().join("password");
    std::fs::write(&file, "from a file\n").unwrap();
    desk.script(&format!("user set-password ada@example.com --password-file {}", file.display()), "").ok();
    desk.script("user set-password ada@example.com --password-file -", "from a pipe").ok();
    desk.person("user set-password ada@example.com", "typed twice\ntyped twice\n").ok();
    desk.person("user set-password ada@example.com", "typed twice\ntyped thrice\n").fails(1, "not the same");
    desk.script("user set-password ada@example.com", "short\n").fails(1, "at least 8 characters");
    desk.script("user set-password eve@example.com", "long enough\n").fails(1, "`keystead user list` shows");
    let hash = "$2b$04$abcdefghijklmnopqrstuuPQcrB6v1Wy9BQXxZDWIs4VbF0uw5mC2";
    desk.script(&format!("user set-password ada@example.com --password-hash {hash}"), "").ok();
    desk.script("user set-password ada@example.com --password-hash plain", "").fails(1, "password_hash");

    assert!(desk.script("user disable ada@example.com", "").ok().contains("disabled"));
    assert!(desk.script("user list", "").ok().contains("disabled"));
    desk.script("user enable ada@example.com", "").ok();
    assert_eq!(desk.script("user unlock ada@example.com --json", "").json(), json!({"counters": 0}));
    assert_eq!(desk.script("session revoke --user ada@example.com --json", "").json(), json!({"revoked": 0}));
    desk.script("session revoke", "").fails(2, "required");
    desk.script("session revoke 00000000-0000-0000-0000-000000000001", "").fails(1, "unknown session");
    desk.script("user show ../../projects", "").fails(1, "a user is named by address or id");
}

#[test]
fn lists_go_on_where_they_ended() {
    let desk = Desk::new();
    for n in 0..3 {
        desk.script(&format!("user create u{n}@example.com --no-password"), "").ok();
    }
    let first = desk.script("user list --limit 2 --json", "").json();
    let after = first["next"].as_str().unwrap();
    let told = desk.script("user list --limit 2", "");
    assert!(told.err.contains(&format!("--after {after}")), "{}", told.err);
    let rest = desk.script(&format!("user list --after {after}"), "");
    assert_eq!((rest.out.lines().count(), rest.err.as_str()), (2, ""));
}

#[test]
fn destroying_asks() {
    let desk = Desk::new();
    desk.script("project create shop --set verification.mode=strict --set tokens.access_ttl=5m", "").ok();
    desk.script("user create ada@example.com --no-password --project shop", "").ok();
    desk.script("project delete shop", "shop\n").fails(2, "--yes");
    desk.person("project delete shop", "no\n").fails(1, "not confirmed");
    desk.script("user delete ada@example.com --project shop", "").fails(2, "--yes");
    desk.person("user delete ADA@example.com --project shop", "ada@example.com\n").ok();
    desk.person("project delete shop", "shop\n").ok();
    desk.script("project delete shop --yes", "").fails(1, "`keystead project list` shows");
}

#[test]
fn several_projects_must_be_told_apart() {
    let desk = Desk::new();
    let made = desk.script("project create shop --json --set hosts=shop.example", "").json();
    desk.script("user list", "").fails(2, "default, shop");
    assert!(desk.script("user list --project default", "").ok().starts_with("ID"));
    desk.script(&format!("key list --project {}", made["id"].as_str().unwrap()), "").ok();
    desk.script("user list --project other", "").fails(1, "unknown project");
    assert_eq!(made["settings"]["hosts"], json!(["shop.example"]));
    desk.script("project create other --set hosts=shop.example", "").fails(1, "shop.example");
    desk.script("project create other --set lockout.failures=0", "").fails(1, "lockout.failures");
    desk.script("project create other --set conceal=true --set conceal=false", "").fails(2, "twice");
    desk.script("project create other --set conceal", "").fails(2, "KEY=VALUE");
    desk.script("project create shop", "").fails(1, "choose another slug");
}

#[test]
fn keys_rotate() {
    let desk = Desk::new();
    let first = desk.script("key list --json", "").json();
    let second = desk.script("key rotate --overlap 2h --json", "").json();
    assert_eq!(desk.script("key list --json", "").json()["keys"].as_array().unwrap().len(), 4);
    assert_ne!(first["keys"][0]["kid"], second["kid"]);
    assert_ne!(first["keys"][1]["kid"], second["jwt"]["kid"]);
    let said = desk.script("key rotate --now", "").ok();
    assert!(said.contains(" (EdDSA) signs from now on") && said.contains(" (ES256) signs from now on"), "{said}");
    assert!(desk.script("key list", "").ok().contains("ALGORITHM"));
    desk.script("key rotate --now --overlap 2h", "").fails(2, "cannot be used with");
    desk.script("key rotate --overlap soon", "").fails(2, "not a duration");
}

#[test]
fn a_command_makes_and_touches_no_directory_by_accident() {
    let desk = Desk::empty();
    desk.script("user list", "").fails(1, "run `keystead serve` first");
    assert!(!desk.data().exists());
    std::fs::create_dir(desk.data()).unwrap();
    std::fs::write(desk.data().join("precious"), "").unwrap();
    let mode = |path: &Path| std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions());
    let before = mode(&desk.data());
    desk.script("user list", "").fails(1, "is no data directory of Keystead");
    assert_eq!(mode(&desk.data()), before);
    assert_eq!(std::fs::read_dir(desk.data()).unwrap().count(), 1);
}

#[test]
fn a_directory_that_another_process_holds_is_named() {
    let desk = Desk::new();
    let lock = std::fs::File::open(desk.data().join("lock")).unwrap();
    lock.lock().unwrap();
    desk.script("user list", "").fails(1, "another keystead process holds");
    drop(lock);
    // The socket a killed server left behind stands in nobody's way.
    drop(std::os::unix::net::UnixListener::bind(desk.data().join("control.sock")).unwrap());
    desk.script("user list", "").ok();
}

#[test]
fn configuration_is_tried_shown_and_explained() {
    let mut desk = Desk::empty();
    assert!(desk.script("config check", "").ok().contains("right"));
    assert_eq!(desk.script("config check --json", "").json(), json!({"ok": true, "problems": []}));
    assert!(desk.script("config show", "").ok().contains("memory_kib = 8"));
    let shown = desk.script("config show --json", "").json();
    let iterations = json!({"value": 1, "source": "KEYSTEAD_HASHING__ITERATIONS"});
    assert_eq!(shown["hashing"]["iterations"], iterations);
    assert_eq!(desk.script("config example", "").ok().trim_end(), crate::config::example().trim_end());
    desk.variables.insert("KEYSTEAD_HASHING__ITERATIONS".into(), "no number".into());
    desk.variables.insert("KEYSTEAD_TLS__MOOD".into(), "files".into());
    for command in ["config check", "config show", "user list", "serve"] {
        let told = desk.script(command, "");
        assert!(told.err.contains("HASHING__ITERATIONS") && told.err.contains("TLS__MOOD"), "{}", told.err);
        assert_eq!((told.code, told.out.as_str()), (78, ""), "{command}");
    }
    let told = desk.script("config check --json", "");
    let answer: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!((told.code, &answer["ok"], answer["problems"].as_array().unwrap().len()), (78, &json!(false), 2));
}

#[test]
fn usage_version_and_completions() {
    let desk = Desk::empty();
    desk.script("", "").fails(2, "Usage");
    desk.script("user", "").fails(2, "Usage");
    desk.script("user lisst", "").fails(2, "list");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(desk.script("--version", "").ok(), format!("keystead {version}\n"));
    assert_eq!(desk.script("version", "").ok(), format!("keystead {version}\n"));
    let built = desk.script("version --json", "").json();
    assert_eq!((&built["name"], &built["version"]), (&json!("keystead"), &json!(version)));
    assert!(built["target"].as_str().is_some_and(|target| target.contains("-linux-")), "{built}");
    assert!(built["static"].is_boolean() && built["profile"].is_string(), "{built}");
    assert!(desk.script("--help", "").ok().contains("Run the server"));
    assert!(desk.script("user create --help", "").ok().contains("--password-file"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(desk.script(&format!("completions {shell}"), "").ok().contains("set-password"));
    }
}

#[test]
fn only_our_own_variables_must_be_text() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    let bad = || OsString::from_vec(vec![0xff]);
    let read = |name: &str| super::environment([(OsString::from(name), bad())].into_iter());
    assert_eq!(read("LS_COLORS"), Ok(BTreeMap::new()));
    assert!(read("KEYSTEAD_DATA_DIR").unwrap_err().to_string().contains("KEYSTEAD_DATA_DIR"));
}
