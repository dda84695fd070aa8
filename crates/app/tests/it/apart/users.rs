//! A user an office: the tour over such a deployment, and that no office's user can read what is another's. Needs root.

use super::{Deployment, init, place, program};
use hufu_app::deployment::users::{FIRST, Users};
use hufu_app::root::OFFICES;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What the tour may take.
const TOUR: Duration = Duration::from_secs(30);
/// What all processes of a deployment that nobody uses may have resident, in MiB, the program that they share counted in each.
const MEMORY: u64 = 300;

/// For whoever runs the ring, though the test passes: what was measured, beside its bar.
fn told(sentence: &str) {
    let _ = writeln!(std::io::stderr(), "{sentence}");
}

fn need_root() {
    assert!(rustix::process::geteuid().is_root(), "this needs root, which hands out users: sudo ./test apart");
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "the tour is held to a time")]
async fn the_tour_over_one_process_and_one_user_an_office_holds_every_promise_within_half_a_minute() {
    need_root();
    let place = place();
    let folder = init(place.path());
    let began = Instant::now();
    let mut up = Command::new(program(place.path()));
    up.args(["sandbox", "up", "--users", "--tour", "--json"]).arg(&folder).stdin(Stdio::null()).stderr(Stdio::null());
    let output = up.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["ok"], true);
    let took = began.elapsed();
    told(&format!("the tour over offices apart took {:.1} s; the bar is {} s", took.as_secs_f64(), TOUR.as_secs()));
    assert!(took < TOUR, "{took:?}");
}

/// What a process has in memory alone and shared, and its part of what is shared, in KiB.
fn memory(process: i32) -> (u64, u64) {
    let text = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap();
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name} in {text}"));
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap()
    };
    (of("Rss:"), of("Pss:"))
}

/// Leaves the file on the disk alone, as it is on a machine that starts offices: pages of a file that was just written lie together
/// in memory, and a process that needs one of them is given all (the same program then has up to 40 MiB more in eleven processes).
fn from_the_disk(file: &Path) {
    let file = std::fs::File::open(file).unwrap();
    file.sync_all().unwrap();
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn at_rest_the_whole_deployment_has_less_memory_than_its_bar() {
    need_root();
    let place = place();
    from_the_disk(&program(place.path()));
    let folder = init(place.path());
    let deployment = Deployment::start_in(place, folder, &["--users"]).await;
    // Beyond the start, and the first look of each at all others.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let serves = |line: &str, name: &str| line.contains(&format!(" serve {name} "));
    // The bar is about offices; what plays the world of a sandbox is none.
    let mut processes = deployment.processes();
    processes.retain(|(_, line)| OFFICES.iter().any(|name| serves(line, name)));
    for name in OFFICES {
        let found = processes.iter().filter(|(_, line)| serves(line, name)).count();
        assert_eq!(found, 1, "{name} in {processes:?}");
    }
    let measured: Vec<(u64, u64)> = processes.iter().map(|(process, _)| memory(*process)).collect();
    let [resident, own] =
        [|one: &(u64, u64)| one.0, |one: &(u64, u64)| one.1].map(|of| measured.iter().map(of).sum::<u64>() / 1024);
    let count = processes.len();
    told(&format!(
        "{count} offices apart have {resident} MiB at rest, shared ones counted once {own}; the bar is {MEMORY}"
    ));
    assert!(own > 20 && own <= resident, "the control: something was measured");
    assert!(resident <= MEMORY, "{resident} MiB");
    deployment.stop().await;
}

/// Everything under the folders of offices.
fn all_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for office in OFFICES {
        let mut folders = vec![folder.join(office)];
        while let Some(at) = folders.pop() {
            for path in std::fs::read_dir(&at).unwrap().map(|entry| entry.unwrap().path()) {
                if path.is_dir() { folders.push(path) } else { found.push(path) }
            }
        }
    }
    found
}

/// Which of these files the user of the office at `place` can read.
fn readable(place: usize, files: &[PathBuf]) -> Vec<PathBuf> {
    let user = FIRST + u32::try_from(place).unwrap();
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg("for f; do head -c 1 \"$f\" >/dev/null 2>&1 && echo \"$f\"; done; true").arg("sh");
    let output = shell.args(files).uid(user).gid(user).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().map(PathBuf::from).collect()
}

#[expect(clippy::needless_range_loop, reason = "a place is a number of a user too")]
#[tokio::test(flavor = "multi_thread")]
async fn no_offices_user_can_read_a_file_of_another_and_each_reads_its_own() {
    need_root();
    let place = place();
    from_the_disk(&program(place.path()));
    let folder = init(place.path());
    let deployment = Deployment::start_in(place, folder, &["--users"]).await;
    let person = deployment.seen.persons()[80].clone();
    let world = deployment.seen.world();
    world.enrol(&mut world.robot().unwrap(), &person, "27182845").await.unwrap();
    let files = all_files(&deployment.folder);
    assert!(files.len() > 80, "{}", files.len());
    for place in 0..OFFICES.len() {
        let can = readable(place, &files);
        let own = deployment.folder.join(OFFICES[place]);
        assert!(can.iter().all(|path| path.starts_with(&own)), "{}: {can:?}", OFFICES[place]);
        assert!(can.iter().any(|path| path.ends_with("machine.key")), "{} cannot read its own key", OFFICES[place]);
    }
    // No user can end another's process either.
    let node = deployment.process("node-1").unwrap().as_raw_nonzero();
    let front = FIRST + 10;
    let mut kill = Command::new("/bin/sh");
    let kill = kill.arg("-c").arg(format!("kill -9 {node}")).uid(front).gid(front).stderr(Stdio::null()).status();
    assert!(!kill.unwrap().success());

    // The control: a file that is left open is found.
    let open = deployment.folder.join("post");
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(open.join("machine.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(readable(0, &files).contains(&open.join("machine.key")));
    deployment.stop().await;
}

#[test]
fn an_offices_commands_are_run_as_its_user_and_leave_nothing_of_anothers_in_its_folder() {
    need_root();
    let place = place();
    let folder = init(place.path());
    let config = |office: &str| folder.join(office).join("office.toml").to_str().unwrap().to_owned();
    let user = |office: &str| FIRST + u32::try_from(OFFICES.iter().position(|name| *name == office).unwrap()).unwrap();
    for (place, office) in OFFICES.iter().enumerate() {
        Users { first: FIRST }.hand_over(&folder.join(office), place).unwrap();
    }
    let run = |as_user: Option<u32>, arguments: &[&str]| {
        let mut command = Command::new(program(place.path()));
        if let Some(user) = as_user {
            command.uid(user).gid(user);
        }
        command.args(arguments).stdin(Stdio::null()).output().unwrap()
    };
    let (node, registry) = (config("node-1"), config("registry"));
    let request = std::fs::read_dir(folder.join("requests")).unwrap().next().unwrap().unwrap().path();
    let request = request.to_str().unwrap();
    let out = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let (key, backup, own_backup) = (out("backup.key"), out("backup.age"), out("own/backup.age"));
    let public = String::from_utf8(run(None, &["backup", "new-identity", &key]).stdout).unwrap();
    std::fs::create_dir(place.path().join("own")).unwrap();
    std::os::unix::fs::chown(place.path().join("own"), Some(user("node-1")), None).unwrap();
    let trust = ["keys", "trust", "--config", &node, "identity.json"];
    let commands = [
        ("node-1", &["keys", "status", "--config", &node][..]),
        ("registry", &["platform", "admit", "--config", &registry, request]),
        ("registry", &["platform", "withdraw", "--config", &registry, "nobody"]),
        ("node-1", &["backup", "--config", &node, "--to", public.trim(), "-o", &backup]),
        ("node-1", &trust),
    ];
    for (office, command) in commands {
        let output = run(None, command);
        let told = String::from_utf8_lossy(&output.stderr);
        let word = format!("belongs to user {}, as whom its commands are run", user(office));
        assert!(!output.status.success() && told.contains(&word), "{command:?}: {told}");
    }
    assert!(!Path::new(&backup).exists());
    let not_its = |office: &&str| {
        let own = all_files(&folder).into_iter().filter(|path| path.starts_with(folder.join(office)));
        own.filter(|path| std::fs::metadata(path).unwrap().uid() != user(office)).count()
    };
    assert_eq!(OFFICES.iter().map(not_its).sum::<usize>(), 0);
    // The control: as its user each of them is carried out.
    let status = run(Some(user("node-1")), &["keys", "status", "--config", &node]);
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    let admitted = run(Some(user("registry")), &["platform", "admit", "--config", &registry, request]);
    assert!(admitted.status.success(), "{}", String::from_utf8_lossy(&admitted.stderr));
    let taken = run(Some(user("node-1")), &["backup", "--config", &node, "--to", public.trim(), "-o", &own_backup]);
    let told = String::from_utf8_lossy(&taken.stderr).into_owned();
    assert!(!told.contains("belongs to user"), "{told}");
    assert_eq!(OFFICES.iter().map(not_its).sum::<usize>(), 0);
}

#[test]
fn no_configuration_of_an_office_leads_root_elsewhere_or_to_anothers_socket() {
    need_root();
    let place = place();
    let folder = init(place.path());
    let up = || {
        let mut up = Command::new(program(place.path()));
        let output =
            up.args(["sandbox", "up", "--users", "--tour"]).arg(&folder).stdin(Stdio::null()).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let config = folder.join("node-1/office.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    // What root alone can read is not shown for a wrong configuration.
    let secret = place.path().join("secret");
    hufu_app::files::replace(&secret, b"root's own", 0o600).unwrap();
    std::fs::remove_file(&config).unwrap();
    symlink(&secret, &config).unwrap();
    let (well, told) = up();
    assert!(!well && told.contains("node-1/office.toml") && !told.contains("root's own"), "{told}");
    std::fs::remove_file(&config).unwrap();
    // Another office's address.
    let listen = |text: &str| -> String {
        let line = text.lines().skip_while(|line| *line != "[internal]").find(|line| line.starts_with("listen"));
        line.unwrap().to_owned()
    };
    let theirs = listen(&std::fs::read_to_string(folder.join("front/office.toml")).unwrap());
    std::fs::write(&config, text.replace(&listen(&text), &theirs)).unwrap();
    let (well, told) = up();
    assert!(!well && told.contains(" already; nothing was started"), "{told}");
    // The control.
    std::fs::write(&config, text).unwrap();
    let (well, told) = up();
    assert!(well, "{told}");
}

#[test]
fn users_are_handed_out_by_root_alone() {
    let place = place();
    let folder = init(place.path());
    need_root();
    // As somebody else, root may not be assumed: the folders stay whose they are.
    let mut up = Command::new(program(place.path()));
    up.args(["sandbox", "up", "--users"]).arg(&folder).uid(FIRST).gid(FIRST);
    let output = up.stdin(Stdio::null()).output().unwrap();
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("needs root") || told.contains("Permission denied"), "{told}");
}

#[test]
fn handing_a_folder_over_follows_no_link_takes_no_second_name_and_leaves_alone_what_is_served() {
    need_root();
    let place = place();
    let (own, other) = (place.path().join("own"), place.path().join("other"));
    let users = Users { first: FIRST };
    let owner = |path: &Path| std::fs::symlink_metadata(path).unwrap().uid();
    for folder in [&own, &other] {
        std::fs::create_dir_all(folder.join("inner")).unwrap();
        std::fs::write(folder.join("inner/keys.json"), "{}").unwrap();
    }
    // Somebody has put links where a folder and a file were.
    symlink(&other, own.join("inner/there")).unwrap();
    symlink(other.join("inner/keys.json"), own.join("machine.key")).unwrap();
    users.hand_over(&own, 0).unwrap();
    for kept in ["", "inner", "inner/keys.json"] {
        assert_eq!(owner(&other.join(kept)), 0, "{kept}");
        // The control: what is no link is handed over.
        assert_eq!(owner(&own.join(kept)), FIRST, "{kept}");
    }
    // The folder itself.
    let link = place.path().join("link");
    symlink(&other, &link).unwrap();
    assert!(users.hand_over(&link, 0).is_err());
    // A second name of another's file.
    std::fs::hard_link(other.join("inner/keys.json"), own.join("second")).unwrap();
    let told = users.hand_over(&own, 0).unwrap_err().to_string();
    assert!(told.contains("second name") && owner(&other.join("inner/keys.json")) == 0, "{told}");
    std::fs::remove_file(own.join("second")).unwrap();
    // Served: nothing changes hands until it is not.
    std::fs::write(own.join("new"), "").unwrap();
    let lock = hufu_app::data_dir::lock(&own).unwrap();
    users.hand_over(&own, 0).unwrap();
    assert_eq!(owner(&own.join("new")), 0);
    drop(lock);
    users.hand_over(&own, 0).unwrap();
    assert_eq!(owner(&own.join("new")), FIRST);
}
