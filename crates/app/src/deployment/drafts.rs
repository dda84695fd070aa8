//! What `hufu init` writes, as texts: pure functions of a few decisions. Every key stands in its file with a comment, those with a
//! good default commented out.

use super::office_file::WALLET;
use super::plan::PUBLIC;
use crate::root::{OFFICES, STORES};
use hufu_kernel::{Octets, Root, b64};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Ports below the first one, by what listens: public ones first, in the order of the demo's.
pub mod offsets {
    /// The front.
    pub const FRONT: u16 = 0;
    /// The wallet's pages.
    pub const WALLET: u16 = 1;
    /// The registrar.
    pub const REGISTRAR: u16 = 2;
    /// Node 1; nodes 2 and 3 follow.
    pub const NODES: u16 = 3;
    /// The phones' inboxes.
    pub const PHONES: u16 = 6;
    /// The register simulator.
    pub const REGISTER: u16 = 7;
    /// The first of three sample platforms.
    pub const SAMPLES: u16 = 8;
    /// The sandbox's control endpoint.
    pub const CONTROL: u16 = 11;
    /// The front, for platforms with TLS certificates.
    pub const MTLS: u16 = 12;
    /// The first office's listener for other offices.
    pub const INTERNAL: u16 = 20;
    /// The first office's listener for operators; the wallet's and the world's follow the offices'.
    pub const METRICS: u16 = 40;
    /// How many ports a deployment on one machine takes.
    pub const ALL: u16 = 60;
}

/// Who runs what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DraftOperator {
    /// Ed25519 public key.
    pub key: Octets<32>,
    /// The offices.
    pub offices: Vec<String>,
    /// The host at which the others reach its offices, `{office}` standing for the office's name; this machine if nothing is said.
    pub host: Option<String>,
    /// The address on which its offices listen; this machine's own if nothing is said.
    pub listen: Option<IpAddr>,
}

/// Every decision that a deployment begins with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Draft {
    /// Sandbox or production.
    pub root: Root,
    /// Drawn.
    pub root_id: Octets<16>,
    /// The name under which people see the service; nothing for a sandbox on this machine.
    pub host: Option<String>,
    /// The first port.
    pub port: u16,
    /// By name.
    pub operators: BTreeMap<String, DraftOperator>,
}

/// One key of a file.
struct Line {
    key: &'static str,
    value: String,
    comment: &'static str,
    /// Commented out: the default, or nothing, is meant.
    off: bool,
}

fn on(key: &'static str, value: impl Into<String>, comment: &'static str) -> Line {
    Line { key, value: value.into(), comment, off: false }
}

fn off(key: &'static str, value: impl Into<String>, comment: &'static str) -> Line {
    Line { key, value: value.into(), comment, off: true }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A table, with what it is for.
struct Table {
    name: &'static str,
    comment: &'static str,
    lines: Vec<Line>,
}

fn written(heading: &str, tables: &[Table]) -> String {
    let mut text = heading.to_owned();
    for table in tables {
        text.push('\n');
        for line in table.comment.lines() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "# {line}");
        }
        // A table of which nothing is said stays out, so that its absence means its defaults.
        let silent = !table.lines.is_empty() && table.lines.iter().all(|line| line.off);
        if !table.name.is_empty() {
            let _ = writeln!(text, "{}[{}]", if silent { "# " } else { "" }, table.name);
        }
        for line in &table.lines {
            for comment in line.comment.lines() {
                let _ = writeln!(text, "# {comment}");
            }
            let _ = writeln!(text, "{}{} = {}", if line.off { "# " } else { "" }, line.key, line.value);
        }
    }
    text
}

impl Draft {
    fn host(&self, part: &str) -> String {
        match (&self.host, part) {
            (None, "wallet") => "wallet.localhost".to_owned(),
            (None, _) => "localhost".to_owned(),
            (Some(host), "front") => host.clone(),
            (Some(host), part) => format!("{part}.{host}"),
        }
    }

    /// Where people's browsers find a part.
    fn origin(&self, part: &str, offset: u16) -> String {
        match self.host {
            None => format!("http://{}:{}", self.host(part), self.port + offset),
            Some(_) => format!("https://{}", self.host(part)),
        }
    }

    fn operator_of(&self, office: &str) -> Option<(&str, &DraftOperator)> {
        let found = self.operators.iter().find(|(_, operator)| operator.offices.iter().any(|name| name == office));
        found.map(|(name, operator)| (name.as_str(), operator))
    }

    /// Where an office listens; the wallet's pages as the front, whose operator has the names that people see.
    fn listen(&self, office: &str, port: u16) -> String {
        let office = if office == WALLET { "front" } else { office };
        let own = self.operator_of(office).and_then(|(_, own)| own.listen).unwrap_or(Ipv4Addr::LOCALHOST.into());
        SocketAddr::new(own, port).to_string()
    }

    fn place(office: &str) -> u16 {
        OFFICES.iter().position(|name| *name == office).and_then(|at| u16::try_from(at).ok()).unwrap_or(11)
    }

    fn internal_port(&self, office: &str) -> u16 {
        self.port + offsets::INTERNAL + Self::place(office)
    }

    fn public_offset(office: &str) -> u16 {
        match office {
            "front" => offsets::FRONT,
            WALLET => offsets::WALLET,
            "registrar" => offsets::REGISTRAR,
            node => offsets::NODES + Self::place(node),
        }
    }

    /// `deployment.toml`.
    #[must_use]
    pub fn plan_text(&self) -> String {
        let mut tables = vec![Table {
            name: "",
            comment: "Which trust root. Every store, key and certificate carries it.",
            lines: vec![
                on("root", quoted(self.root.name()), "production, or sandbox: invented people only."),
                on("root_id", quoted(&b64(self.root_id.as_slice())), "Drawn by hufu init. Never change it."),
                on(
                    "issuer",
                    quoted(&self.origin("front", offsets::FRONT)),
                    "The front's address as platforms and browsers know it. Settle it before the first platform is admitted.",
                ),
                on(
                    "wallet_origin",
                    quoted(&self.origin("wallet", offsets::WALLET)),
                    "The origin of the wallet's pages. Device keys are bound to its host: settle it before the first person enrols.",
                ),
                on(
                    "rp_id",
                    quoted(&self.host("wallet")),
                    "The WebAuthn RP ID: the wallet's host, or a domain above it.",
                ),
            ],
        }];
        let mut text = written(
            "# The plan of a Hufu deployment: who runs which office, and where it answers.\n\
             # The same file at every office. Nothing in it is secret.\n",
            &std::mem::take(&mut tables),
        );
        text.push_str("\n# Who runs offices. An order (ceremony, rotation) needs the signatures of two of them.\n");
        text.push_str("# key: Ed25519 public key, base64url.\n");
        for (name, operator) in &self.operators {
            let _ = writeln!(text, "[operators.{name}]\nkey = {}", quoted(&b64(operator.key.as_slice())));
        }
        text.push_str(
            "\n# The offices. operator: who runs it. internal: host:port at which the other offices reach it.\n\
             # public: the address at which wallets reach it, nodes and registrar only.\n",
        );
        for office in OFFICES {
            let (operator, host) =
                self.operator_of(office).map_or(("", None), |(name, own)| (name, own.host.as_deref()));
            let host = host.unwrap_or("127.0.0.1").replace("{office}", office);
            let internal = format!("{host}:{}", self.internal_port(office));
            let _ =
                writeln!(text, "[offices.{office}]\noperator = {}\ninternal = {}", quoted(operator), quoted(&internal));
            if PUBLIC.contains(&office) {
                let _ = writeln!(text, "public = {}", quoted(&self.origin(office, Self::public_offset(office))));
            }
        }
        if self.root == Root::Sandbox {
            let samples: Vec<String> = (0_u16..3)
                .zip(["one", "two", "three"])
                .map(|(at, name)| quoted(&self.origin(&format!("platform-{name}"), offsets::SAMPLES + at)))
                .collect();
            let simulators = Table {
                name: "sandbox",
                comment: "The simulators of a sandbox, all of them in the process `hufu sandbox world`.",
                lines: vec![
                    on("phones", quoted(&self.origin("phones", offsets::PHONES)), "The invented phones' inboxes."),
                    on("register", quoted(&self.origin("register", offsets::REGISTER)), "The civil register."),
                    on("samples", format!("[{}]", samples.join(", ")), "Three sample platforms with pages."),
                ],
            };
            text.push_str(&written("", &[simulators]));
        }
        text
    }

    /// `office.toml` of one office, or of the wallet's pages.
    #[must_use]
    pub fn office_text(&self, office: &str) -> String {
        let command = if self.root == Root::Sandbox { "hufu sandbox serve" } else { "hufu serve" };
        let heading = format!(
            "# How {office} is run:  {command} {office} --config office.toml\n\
             # Paths count from this file's folder. A key that is not known here refuses to start.\n"
        );
        written(&heading, &self.tables(office))
    }

    fn tables(&self, office: &str) -> Vec<Table> {
        let is_office = office != WALLET;
        let mut tables = vec![self.first_table(office)];
        if is_office {
            let listen = self.listen(office, self.internal_port(office));
            tables.push(Table {
                name: "internal",
                comment: "The listener for the other offices: TLS in both directions, offices of the roster alone.",
                lines: vec![on("listen", quoted(&listen), "Address and port; the others find it by deployment.toml.")],
            });
        }
        if ["front", "registrar", WALLET].contains(&office) || office.starts_with("node") {
            tables.push(self.public_table(office));
        }
        if office == "front" {
            tables.push(self.mtls_table());
        }
        if STORES.contains(&office) {
            tables.push(store_table(office));
        }
        if is_office {
            tables.push(Table {
                name: "keys",
                comment: "Where the office's keys are.",
                lines: vec![
                    off(
                        "kind",
                        "\"file\"",
                        "file: keys.json in the data folder, sealed under machine.key there. pkcs11: a token.",
                    ),
                    off("module", "\"/usr/lib/softhsm/libsofthsm2.so\"", "pkcs11: the library of the token's maker."),
                    off("token", quoted(office), "pkcs11: the token's label."),
                    off("pin_file", "\"token.pin\"", "pkcs11: the file with the token's PIN, mode 600."),
                ],
            });
        }
        tables.extend(own_tables(office, self.root));
        tables.extend(self.running_tables(office));
        tables
    }

    fn first_table(&self, office: &str) -> Table {
        let mut lines = vec![
            on("office", quoted(office), "Which office this is."),
            on("deployment", "\"../deployment.toml\"", "The plan of the deployment."),
            on("trust", "\"../trust.json\"", "The public half of the jointly made keys: written by the key ceremony."),
        ];
        if office != WALLET {
            lines.push(on("roster", "\"../roster.json\"", "The offices' identity keys, which this office pins."));
            lines.push(on(
                "data",
                "\".\"",
                "The office's own folder: keys, rows, error numbers. Nobody else may enter it.",
            ));
        }
        if office.starts_with("node") || ["registrar", "post"].contains(&office) {
            let comment = "A folder of rules in place of the built-in ones; the same at every office.";
            lines.push(off("rules", "\"../rules\"", comment));
        }
        Table { name: "", comment: "What this is.", lines }
    }

    fn public_table(&self, office: &str) -> Table {
        let listen = self.listen(office, self.port + Self::public_offset(office));
        let certificate = "The certificate with its chain, PEM: TLS ends here. Read again when the file changes.";
        let key = "Its private key, PEM, readable by this office alone.";
        let mut lines = vec![
            on("listen", quoted(&listen), "Address and port."),
            off("certificate", "\"tls/certificate.pem\"", certificate),
            off("key", "\"tls/key.pem\"", key),
        ];
        let comment = "A proxy of the same operator speaks TLS in front of this listener, which is then plain HTTP.\n\
                       Whoever runs that proxy reads what this office reads.";
        lines.push(if self.host.is_some() {
            on("behind_proxy", "true", comment)
        } else {
            off("behind_proxy", "false", comment)
        });
        lines.push(off("addresses_hidden", "false", HIDDEN));
        Table { name: "public", comment: "The listener for wallets, browsers and platforms.", lines }
    }

    fn mtls_table(&self) -> Table {
        let port = self.port + offsets::MTLS;
        let url = match &self.host {
            None => format!("https://localhost:{port}"),
            Some(host) => format!("https://mtls.{host}:{port}"),
        };
        let listen = self.listen("front", port);
        let url_comment =
            "Its address as platforms know it; the metadata names it (mtls_endpoint_aliases). Not the issuer's.";
        let authorities = "The authorities that may vouch for platforms, PEM: each can speak in the name of every platform\n\
                           that registered a certificate. Read again when the file changes.";
        Table {
            name: "mtls",
            comment: "The listener for platforms that prove themselves by TLS certificates (RFC 8705). Off: nobody is asked for one.\n\
                      TLS ends here and nowhere before: what stands in front of it passes connections on as they come.",
            lines: vec![
                off("url", quoted(&url), url_comment),
                off("listen", quoted(&listen), "Address and port."),
                off(
                    "certificate",
                    "\"tls/mtls.pem\"",
                    "Its own certificate with the chain, PEM. Read again when the file changes.",
                ),
                off("key", "\"tls/mtls.key\"", "Its private key, PEM, readable by this office alone."),
                off("authorities", "\"tls/platforms.pem\"", authorities),
                off("addresses_hidden", "false", HIDDEN),
            ],
        }
    }

    fn running_tables(&self, office: &str) -> Vec<Table> {
        let metrics = match office {
            WALLET => self.port + offsets::METRICS + 11,
            office => self.port + offsets::METRICS + Self::place(office),
        };
        let clock = "The file that says how far the sandbox's clock is ahead; without it the machine's clock counts.";
        let mut tables = vec![
            limits_table(office),
            Table {
                name: "log",
                comment: "Logs, on standard error. Never a person, and never a platform beside a person.",
                lines: vec![
                    off("filter", "\"info\"", "As RUST_LOG would say it; RUST_LOG goes first."),
                    off("json", "true", "One JSON object a line."),
                ],
            },
            Table {
                name: "metrics",
                comment: "The listener for operators: /livez, /readyz with reasons, /metrics. Keep it off public networks.",
                lines: vec![on("listen", quoted(&self.listen(office, metrics)), "Address and port.")],
            },
        ];
        if office != WALLET {
            tables.push(Table {
                name: "tracing",
                comment: "The collector of this office's traces, OTLP over HTTP. Off: nothing is sent anywhere.",
                lines: vec![
                    off(
                        "endpoint",
                        "\"http://127.0.0.1:4318\"",
                        "On this machine, a private address, or a name below .internal or .svc.cluster.local.",
                    ),
                    off(
                        "every_s",
                        "60",
                        "Seconds between sendings; a production root sends once a minute or less often.",
                    ),
                ],
            });
        }
        if self.root == Root::Sandbox {
            tables.push(Table {
                name: "sandbox",
                comment: "Sandbox only.",
                lines: vec![on("clock", "\"../clock/clock.json\"", clock)],
            });
        }
        tables
    }

    /// `world.toml` of a sandbox's simulators.
    #[must_use]
    pub fn world_text(&self) -> String {
        let at = |offset: u16| quoted(&format!("127.0.0.1:{}", self.port + offset));
        let samples: Vec<String> = (0..3).map(|n| at(offsets::SAMPLES + n)).collect();
        let world = Table {
            name: "",
            comment: "What this is.",
            lines: vec![
                on("deployment", "\"../deployment.toml\"", "The plan of the deployment."),
                on("trust", "\"../trust.json\"", "The public half of the jointly made keys."),
                on("data", "\".\"", "Its own folder: the invented platforms' keys, the personas' devices."),
                on("clock", "\"../clock\"", "The folder of the file that moves the clock of all offices."),
            ],
        };
        let listen = Table {
            name: "listen",
            comment: "Where everything listens, on this machine only.",
            lines: vec![
                on("wallet", at(offsets::WALLET), "The wallet's pages, and the personas' wallets in software."),
                on("phones", at(offsets::PHONES), "The invented phones' inboxes."),
                on("register", at(offsets::REGISTER), "The civil register."),
                on("samples", format!("[{}]", samples.join(", ")), "Three sample platforms with pages."),
                on("control", at(offsets::CONTROL), "Where `hufu sandbox clock` asks."),
            ],
        };
        let heading = "# The world around a sandbox's offices:  hufu sandbox world --config world.toml\n";
        written(heading, &[world, listen])
    }
}

fn store_table(office: &str) -> Table {
    let role = "The server, database and the office's own role, without a password. docs/operate/deployment.md has the SQL for schema and role.";
    let url = match office {
        "node-1" => "\"postgres://hufu_node_1@db.internal:5432/hufu\"",
        _ => "\"postgres://hufu_office@db.internal:5432/hufu\"",
    };
    Table {
        name: "store",
        comment: "Where the office's rows are.",
        lines: vec![
            off("kind", "\"sqlite\"", "sqlite: store.sqlite in the data folder. postgres: a server."),
            off("url", url, role),
            off("password_file", "\"store.password\"", "The file with the role's password."),
            off("password_env", "\"HUFU_STORE_PASSWORD\"", "Or the environment variable with it."),
        ],
    }
}

fn limits_table(office: &str) -> Table {
    let mut lines = vec![
        off("connections", "2000", "Connections of one listener at once; more wait in the system's queue."),
        off("body_bytes", "65536", "The longest body of a request from outside, 65536 at most."),
        off("peer_timeout_ms", "10000", "How long another office may take to answer, in milliseconds."),
        off("threads", "2", "Threads that answer requests."),
        off(
            "memory_mib",
            "512",
            "The most memory in MiB; beyond it the process ends, and is started again. No bound by default.",
        ),
    ];
    lines.extend(limits_of_callers(office));
    Table { name: "limits", comment: "Bounds of this process.", lines }
}

const HIDDEN: &str = "A balancer in front passes TLS on, and every connection seems to be its own: nothing is counted by address at this\n\
                      listener then, and the balancer must do it.";

/// How much one of those may take that the office meets from outside (docs/operate/limits.md).
fn limits_of_callers(office: &str) -> Vec<Line> {
    let (node, front) = (office.starts_with("node"), office == "front");
    let wallets = node || office == "registrar";
    let all = [
        (
            front || wallets || office == WALLET,
            off(
                "address_connections",
                "250",
                "Connections of one address at once (IPv6: of one /64; of one /48 twice as many). Nothing is counted by address at a\n\
                 listener with behind_proxy or addresses_hidden: what stands in front must do it. 0, here and below: no limit.",
            ),
        ),
        (
            front || wallets || office == WALLET,
            off(
                "address_connects",
                "30000",
                "New connections of one address a minute; what two seconds bring may come at once, here and below.",
            ),
        ),
        (front, off("address_browser", "6000", "What browsers and wallets at one address ask, a minute.")),
        (front, off("address_platform", "30000", "What platforms at one address ask, a minute.")),
        (wallets, off("address_wallet", "6000", "What wallets at one address ask, a minute.")),
        (office == "registrar", off("address_starts", "300", "Enrolments that are begun at one address, a minute.")),
        (
            front,
            off("address_waits", "30", "Wallets at one address that begin to wait to be asked, a minute; ten at once."),
        ),
        (
            front || wallets || office == WALLET,
            off("address_other", "30000", "Documents, pages and what there is not, asked at one address, a minute."),
        ),
        (front, off("platform", "30000", "What one platform asks that has proved who it is, a minute.")),
        (node, off("person", "300", "Questions of sign-ins by one person's own devices, a minute.")),
    ];
    all.into_iter().filter_map(|(has_use, line)| has_use.then_some(line)).collect()
}

/// The tables of a single office's own affairs.
fn own_tables(office: &str, root: Root) -> Vec<Table> {
    let sandbox = root == Root::Sandbox;
    let service = |name: &'static str, comment: &'static str, url: &'static str, told: &'static str| {
        let lines = vec![
            off("url", url, told),
            off("ca", "\"tls/authority.pem\"", "The authority that vouches for it, PEM, in place of the system's."),
        ];
        Table { name, comment, lines }
    };
    match office {
        "registrar" => vec![
            service(
                "register",
                if sandbox {
                    "The register of documents; the simulator's if nothing is said."
                } else {
                    "The register of documents. Needed."
                },
                "\"https://register.internal\"",
                "Answers POST /match (docs/operate/services.md).",
            ),
            service(
                "face",
                if sandbox {
                    "The face service; without it the sandbox takes the person's word."
                } else {
                    "The face service, which decides whether the face before the camera is the document's. Needed."
                },
                "\"https://face.internal\"",
                "Answers POST /decide (docs/operate/services.md).",
            ),
        ],
        "post" => vec![service(
            "messages",
            if sandbox {
                "The message provider; the simulated phones if nothing is said."
            } else {
                "The message provider. Needed."
            },
            "\"https://messages.internal\"",
            "Takes POST /messages (docs/operate/services.md).",
        )],
        WALLET => vec![Table {
            name: "help",
            comment: "Help without a computer, in the same place on every page.",
            lines: vec![
                on(
                    "phone",
                    "\"400-000-0000\"",
                    "The telephone number as people read it. Put your own: nobody answers this one.",
                ),
                on("tel", "\"4000000000\"", "The same for a telephone's link."),
            ],
        }],
        _ => Vec::new(),
    }
}

#[cfg(test)]
pub(super) mod tests;
