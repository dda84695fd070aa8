//! A real PostgreSQL server, made by the tests and gone with them.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio_postgres::{Config, NoTls};

const MISSING: &str = "the PostgreSQL tests need its server: apt-get install postgresql-15";

/// Stops the server and removes its directory when its standard input closes, which it does however the tests end.
const GUARD: &str = r#"
    trap '' INT TERM
    dir="$1"; shift
    "$@" >"$dir/log" 2>&1 &
    read -r rest
    kill -INT $! 2>/dev/null
    wait
    [ "$rest" = keep ] || rm -rf "$dir"
"#;

/// One server on a socket in a directory of its own.
pub struct Cluster {
    dir: PathBuf,
    user: String,
    guard: Child,
}

/// PostgreSQL refuses to be root, so root runs it as somebody else.
fn user() -> String {
    let id = |arguments: &[&str]| {
        let output = Command::new("id").args(arguments).stderr(Stdio::null()).output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned())
    };
    match id(&["-u"]).as_deref() {
        Some("0") if id(&["-u", "postgres"]).is_some() => "postgres".to_owned(),
        Some("0") => "nobody".to_owned(),
        _ => id(&["-un"]).unwrap(),
    }
}

/// The newest server that is installed.
fn binaries() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect(MISSING);
    let number = |path: &Path| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    let newest = versions.map(|entry| entry.unwrap().path()).max_by_key(|path| number(path)).expect(MISSING);
    let bin = newest.join("bin");
    assert!(bin.join("initdb").exists(), "{MISSING}");
    bin
}

impl Cluster {
    /// Makes and starts one; blocks while it does.
    pub fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("hufu-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let user = user();
        let owned = Command::new("chown").arg(&user).arg(&dir).status().unwrap();
        assert!(owned.success());
        let mut initdb = as_user(&user, &binaries().join("initdb"));
        initdb.args(["--auth=trust", "--username=hufu", "--encoding=UTF8", "--locale=C", "--no-sync", "-D"]);
        let made = initdb.arg(dir.join("data")).current_dir(&dir).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let guard = serve(&dir, &user);
        Self { dir, user, guard }
    }

    /// How to reach it.
    pub fn config(&self) -> Config {
        let mut config = Config::new();
        config.host_path(&self.dir).user("hufu").dbname("postgres").connect_timeout(Duration::from_secs(5));
        config
    }

    /// Waits until it answers.
    pub async fn ready(&self) {
        for _ in 0..300 {
            if self.config().connect(NoTls).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("PostgreSQL did not start: {}", self.log());
    }

    /// kill -9 of the server's first process; the others end when they see it gone.
    pub fn crash(&mut self) {
        let file = std::fs::read_to_string(self.dir.join("data/postmaster.pid")).unwrap();
        let pid = file.lines().next().unwrap();
        assert!(Command::new("kill").args(["-9", pid]).status().unwrap().success());
        stop(&mut self.guard, "keep\n");
    }

    /// Starts it again on what it left, as soon as the last process of the old one has gone.
    pub async fn restart(&mut self) {
        for _ in 0..100 {
            self.guard = serve(&self.dir, &self.user);
            tokio::time::sleep(Duration::from_millis(300)).await;
            if !self.log().contains("pre-existing shared memory") {
                return self.ready().await;
            }
            stop(&mut self.guard, "keep\n");
        }
        panic!("PostgreSQL did not start again: {}", self.log());
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }
}

fn as_user(user: &str, program: &Path) -> Command {
    let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    if !is_root {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", user, "--regid", user, "--clear-groups", "--"]).arg(program);
    if user == "nobody" {
        command = Command::new("setpriv");
        command.args(["--reuid", user, "--regid", "nogroup", "--clear-groups", "--"]).arg(program);
    }
    command
}

fn serve(dir: &Path, user: &str) -> Child {
    let server = as_user(user, &binaries().join("postgres"));
    let mut guard = Command::new("sh");
    guard.args(["-c", GUARD, "guard"]).arg(dir).arg(server.get_program()).args(server.get_args());
    guard.arg("-D").arg(dir.join("data")).arg("-k").arg(dir).args(["-h", "", "-c", "max_connections=200"]);
    guard.current_dir(dir).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn stop(guard: &mut Child, word: &str) {
    use std::io::Write;
    if let Some(mut input) = guard.stdin.take() {
        // If the guard is gone already there is nothing to stop.
        let _ = input.write_all(word.as_bytes());
    }
    guard.wait().unwrap();
}

impl Drop for Cluster {
    fn drop(&mut self) {
        stop(&mut self.guard, "\n");
    }
}
