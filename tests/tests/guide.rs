//! `docs/driver-guide.md`, typed as it stands: every marked block is run, and what it is to say is looked for.
//!
//! What a block's first line says behind `sh`: `run` must succeed, `fails` must not, `until` is repeated until it says what
//! is wanted, `start WORD` goes on beside the rest once it says the word. A block `text says` behind it holds lines that it
//! must say, with `…` for anything. Blocks without a mark are for readers of other machines. The guide's port is another
//! here, because tests run side by side.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use cardinal_tests::{port, process::Process, program, wait};
use rustix::process::Signal;

/// What one block may take: the first one compiles the SDK.
const LONGEST: Duration = Duration::from_secs(600);

struct Block {
    line: usize,
    mark: String,
    text: String,
    says: Vec<String>,
}

/// The marked blocks of a guide, each with what it is to say.
fn blocks(guide: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut lines = guide.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(head) = line.strip_prefix("```") else { continue };
        let inside: Vec<_> = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
        if head == "text says" {
            let last = blocks.last_mut().unwrap_or_else(|| panic!("line {}: nothing to say it", number + 1));
            assert!(last.says.is_empty(), "line {}: {} has that already", number + 1, last.line);
            last.says = inside.into_iter().map(str::to_owned).collect();
        } else if let Some(mark) = head.strip_prefix("sh ") {
            blocks.push(Block { line: number + 1, mark: mark.to_owned(), text: inside.join("\n"), says: Vec::new() });
        }
    }
    blocks
}

/// Whether all of these lines stand in the text, `…` for anything.
fn says(text: &str, lines: &[String]) -> bool {
    let has = |wanted: &String, line: &str| {
        let mut rest = line;
        wanted.split('…').all(|piece| {
            let found = rest.split_once(piece);
            rest = found.map_or("", |(_, behind)| behind);
            found.is_some()
        })
    };
    lines.iter().all(|wanted| text.lines().any(|line| has(wanted, line)))
}

/// The one who types.
struct Typist {
    folder: tempfile::TempDir,
    path: String,
    cargo_target: PathBuf,
    /// What was exported, for the shells to come.
    exports: String,
    beside: Vec<Process>,
}

impl Typist {
    fn new() -> Self {
        let programs = [("cardinal", "cardinal-server"), ("cardinal-simulator", "cardinal-simulators")];
        let folders = programs.map(|(name, package)| program::ours(name, package).parent().unwrap().to_owned());
        let path = std::env::var("PATH").unwrap();
        let path = format!("{}:{path}", folders[0].to_str().unwrap());
        // What drivers of this workspace were compiled with; a crate that shares it need not compile it once more.
        let cargo_target = program::built().parent().unwrap().join("wasm");
        let folder = tempfile::Builder::new().prefix("cardinal-guide-").tempdir().unwrap();
        Self { folder, path, cargo_target, exports: String::new(), beside: Vec::new() }
    }

    fn shell(&self, text: &str) -> Command {
        let mut shell = Command::new("bash");
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            // Of the cargo that runs this test, and of whoever runs that.
            if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST") || name.starts_with("CARDINAL_") {
                shell.env_remove(name);
            }
        }
        shell.current_dir(self.folder.path()).env("PATH", &self.path).env_remove("CARGO_TARGET_DIR");
        shell.env("CARDINAL_CARGO_TARGET", &self.cargo_target);
        // What the SDK is made of is here: this workspace is made of it, too.
        shell.env("CARGO_NET_OFFLINE", "true");
        // The clone that this test belongs to, also where its programs were built into another folder.
        shell.env("CARDINAL_SDK", program::in_workspace("."));
        for server in ["HTTP", "IPP", "IPPS"] {
            shell.env(format!("CARDINAL_{server}__LISTEN"), "127.0.0.1:0");
        }
        shell.args(["-euo", "pipefail", "-c", &format!("{}\n{text}", self.exports)]);
        shell
    }

    /// Runs a block to its end: whether it succeeded, and all that it said.
    async fn run(&self, block: &Block) -> (bool, String) {
        let said = self.folder.path().join(".said");
        let file = fs::File::create(&said).unwrap();
        let mut shell = self.shell(&block.text);
        shell.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        let running = tokio::process::Command::from(shell).kill_on_drop(true).spawn().unwrap().wait_with_output();
        let ended = tokio::time::timeout(LONGEST, running).await;
        let text = read(&said);
        let ended = ended.unwrap_or_else(|_| panic!("line {} did not end: {text}", block.line)).unwrap();
        (ended.status.success(), text)
    }

    /// Does what a block says.
    async fn types(&mut self, block: &Block) {
        let Block { line, mark, text, says: wanted } = block;
        match mark.split_once(' ').unwrap_or((mark, "")) {
            ("run" | "fails", _) => {
                let (went_well, said) = self.run(block).await;
                assert_eq!(went_well, mark == "run", "line {line}: {text}\n{said}");
                assert!(says(&said, wanted), "line {line}: {text}\nwas to say {wanted:#?} and said:\n{said}");
                self.exports
                    .extend(text.lines().filter(|line| line.starts_with("export ")).map(|line| format!("{line}\n")));
            }
            ("until", _) => {
                wait::until(&format!("line {line}, which is to say {wanted:#?}"), async || {
                    let (went_well, said) = self.run(block).await;
                    (went_well && says(&said, wanted)).then_some(())
                })
                .await;
            }
            ("start", word) => {
                let log = self.folder.path().join(format!(".beside-{line}"));
                let mut shell = self.shell(&format!("exec {text}"));
                self.beside.push(Process::start("a program of the guide", &mut shell, &log));
                wait::until(&format!("line {line}, which is to say {word:?}"), async || {
                    read(&log).lines().any(|line| line.starts_with(word)).then_some(())
                })
                .await;
            }
            _ => panic!("line {line}: what is {mark:?}?"),
        }
    }
}

fn read(path: &Path) -> String {
    let mut text = Vec::new();
    fs::File::open(path).unwrap().read_to_end(&mut text).unwrap();
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn the_guide_works_as_it_stands() {
    let guide = fs::read_to_string(program::in_workspace("docs/driver-guide.md")).unwrap();
    let guide = guide.replace("127.0.0.1:4660", &port::free().to_string());
    let blocks = blocks(&guide);
    assert!(blocks.len() > 15, "the guide has lost its marks");
    let mut typist = Typist::new();
    for block in &blocks {
        typist.types(block).await;
    }
    while let Some(beside) = typist.beside.pop() {
        beside.end(Signal::TERM).await;
    }
}
