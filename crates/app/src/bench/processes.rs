//! The programs a bench measures: each a process of its own on the service's core, ended by its process id.

use super::cores::{self, Cores};
use crate::failure::Failure;
use rustix::process::{Pid, Signal, kill_process};
use serde::de::DeserializeOwned;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A program answers by then, or it is not going to.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// A program that was told to stop gets this long.
const STOP_WITHIN: Duration = Duration::from_secs(15);

/// A running program; dropping it ends it.
#[derive(Debug)]
pub struct Program {
    child: Child,
    name: &'static str,
}

/// What the system knows of a process at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// Processor time.
    pub cpu: Duration,
    /// Memory now, in KiB.
    pub rss_kib: u64,
    /// The most memory it ever had, in KiB.
    pub peak_kib: u64,
}

impl Program {
    /// Starts `command` bound to the service's core. Standard output is the caller's to read.
    ///
    /// # Errors
    /// [`Failure::Other`] naming the program.
    pub fn start(name: &'static str, mut command: Command, bound: Option<Cores>) -> Result<Self, Failure> {
        // A process starts on the core of the thread that starts it.
        if let Some(cores) = bound {
            cores::bind(cores.service);
        }
        let child = command.stdin(Stdio::piped()).spawn();
        if let Some(cores) = bound {
            cores::bind(cores.driver);
        }
        let child = child.map_err(|cause| Failure::other(format!("{name} ({command:?}) does not start: {cause}")))?;
        Ok(Self { child, name })
    }

    /// Starts a program that announces itself with one JSON line on standard output.
    ///
    /// # Errors
    /// [`Failure::Other`], if it ends or says nothing.
    pub fn announced<T: DeserializeOwned>(
        name: &'static str,
        mut command: Command,
        bound: Option<Cores>,
    ) -> Result<(Self, T), Failure> {
        command.stdout(Stdio::piped());
        let mut program = Self::start(name, command, bound)?;
        let out = program.child.stdout.take().ok_or_else(|| Failure::other("no standard output"))?;
        let (say, said) = std::sync::mpsc::channel();
        let read = move || {
            let mut line = String::new();
            let read = BufReader::new(out).read_line(&mut line);
            // Whoever waits may have given up.
            let _ = say.send(read.map(|_| line));
        };
        std::thread::Builder::new().spawn(read).map_err(Failure::other)?;
        let silent = |_| Failure::other(format!("{name} does not say where it answers"));
        let line = said.recv_timeout(READY_WITHIN).map_err(silent)?.map_err(Failure::other)?;
        let told = serde_json::from_str(&line).map_err(|_| Failure::other(format!("{name} ended: {line}")))?;
        Ok((program, told))
    }

    /// Starts a program that writes a file when it answers.
    ///
    /// # Errors
    /// [`Failure::Other`], if it ends or is not ready in time.
    pub fn ready<T: DeserializeOwned>(
        name: &'static str,
        command: Command,
        bound: Option<Cores>,
        file: &Path,
    ) -> Result<(Self, T), Failure> {
        let mut program = Self::start(name, command, bound)?;
        let begun = super::now();
        while super::now() - begun < READY_WITHIN {
            if let Some(told) = std::fs::read(file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
                return Ok((program, told));
            }
            if let Some(status) = program.child.try_wait().map_err(Failure::other)? {
                return Err(Failure::other(format!("{name} ended with {status}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(Failure::other(format!("{name} is not ready after {} s", READY_WITHIN.as_secs())))
    }

    /// What it and the processes it began have used; all zero where the system does not say.
    #[must_use]
    pub fn usage(&self) -> Usage {
        family(self.child.id()).into_iter().map(of_process).fold(Usage::default(), |sum, one| Usage {
            cpu: sum.cpu + one.cpu,
            rss_kib: sum.rss_kib + one.rss_kib,
            peak_kib: sum.peak_kib + one.peak_kib,
        })
    }

    fn stop(&mut self) -> std::io::Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM)?;
        }
        let begun = super::now();
        while super::now() - begun < STOP_WITHIN {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.child.kill()?;
        self.child.wait().map(drop)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Err(cause) = self.stop() {
            eprintln!("{} (process {}) could not be ended: {cause}", self.name, self.child.id());
        }
    }
}

/// A process and those that it began. An office begins none of its own.
fn family(pid: u32) -> Vec<u32> {
    let mut family = vec![pid];
    // Any of its threads may have begun one.
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let children = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        family.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
    }
    family
}

fn of_process(pid: u32) -> Usage {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    Usage { cpu: cpu(&read("stat")), rss_kib: kib(&read("status"), "VmRSS:"), peak_kib: kib(&read("status"), "VmHWM:") }
}

/// User and system time of `/proc/PID/stat` (proc(5)): fields 14 and 15, in hundredths of a second on every Linux in use.
fn cpu(stat: &str) -> Duration {
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 = after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

fn kib(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_of_a_process_is_read() {
        let stat = "42 (a) b) R 1 42 42 0 -1 4194304 90 0 0 0 150 50 0 0 20 0 5 0 100 0 0";
        assert_eq!(cpu(stat), Duration::from_secs(2));
        let status = "Name:\thufu\nVmHWM:\t   2048 kB\nVmRSS:\t   1024 kB\n";
        assert_eq!((kib(status, "VmRSS:"), kib(status, "VmHWM:"), kib(status, "Nothing:")), (1024, 2048, 0));
        assert_eq!(cpu(""), Duration::ZERO);
    }

    #[test]
    fn a_program_is_ended_when_it_is_dropped() {
        let mut sleep = Command::new("sleep");
        sleep.arg("60");
        let program = Program::start("sleep", sleep, None).unwrap();
        let pid = program.child.id();
        assert!(Path::new("/proc").join(pid.to_string()).exists());
        drop(program);
        assert!(!Path::new("/proc").join(pid.to_string()).exists());
    }
}
