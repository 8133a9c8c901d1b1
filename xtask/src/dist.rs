//! `cargo xtask dist`: what a release consists of, in `target/dist`.
//!
//! This compiles; `packaging/package.sh` packages. The same commit makes the same bytes in every folder, as `--twice`
//! proves.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::binaries::Build;
use crate::step::{self, Result};
use crate::tools;

/// What to build.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only for these machines
    #[arg(long, value_delimiter = ',', value_name = "MACHINE", value_parser = MACHINES)]
    target: Vec<String>,
    /// Only these parts
    #[arg(long, value_delimiter = ',', value_name = "PART", value_parser = PARTS)]
    only: Vec<String>,
    /// Build the commit in a second folder, too, and compare all files
    #[arg(long)]
    twice: bool,
}

const MACHINES: [&str; 2] = ["x86_64", "aarch64"];
/// The functions of `packaging/package.sh`, without `binary`, which they need.
const PARTS: [&str; 6] = ["archive", "deb", "image", "wheel", "npm", "sbom"];

/// What all steps share.
struct Dist {
    epoch: String,
    commit: String,
    path: OsString,
    packages: PathBuf,
    out: PathBuf,
}

/// Builds everything into an empty `target/dist`.
pub(crate) fn run(options: &Options) -> Result {
    let dist = Dist::prepare()?;
    let chosen = |all: &[&'static str], chosen: &[String]| {
        all.iter().copied().filter(|name| chosen.is_empty() || chosen.iter().any(|one| one == name)).collect()
    };
    let parts: Vec<&str> = chosen(&PARTS, &options.only);
    let machines: Vec<&str> = chosen(&MACHINES, &options.target);
    for machine in machines {
        if let Some(reason) = obstacle(machine) {
            eprintln!("xtask: dist for {machine}: skipped, because {reason}");
            continue;
        }
        for build in Build::ALL {
            dist.compile(machine, build)?;
            dist.package(machine, build, &parts)?;
        }
    }
    let sums = ["-euc", "sha256sum -- * >../SHA256SUMS && mv ../SHA256SUMS ."];
    step::visibly(Command::new("sh").args(sums).current_dir(&dist.out).env("LC_ALL", "C"))?;
    eprintln!("xtask: everything is in {}", dist.out.display());
    if options.twice { again() } else { Ok(()) }
}

fn triple(machine: &str) -> String {
    format!("{machine}-unknown-linux-musl")
}

/// Why nothing can be built for a machine here.
fn obstacle(machine: &str) -> Option<&'static str> {
    let emulator = format!("qemu-{machine}-static");
    if !step::works(Command::new("rustup").args(["target", "add", &triple(machine)])) {
        Some("`rustup target add` does not answer")
    } else if machine != env::consts::ARCH && !step::works(Command::new(emulator).arg("--version")) {
        Some("nothing here can run it; install qemu-user-static")
    } else {
        None
    }
}

/// Repeats the command for the same commit in a second folder, and compares the sums.
fn again() -> Result {
    let (place, tools) = (step::target().join("again"), step::target().join("tools"));
    let folder = place.join("in/another/place");
    let line = format!(
        "rm -rf '{0}' && git clone -q --shared . '{1}' && mkdir '{1}/target' && ln -s '{2}' '{1}/target/tools'",
        place.display(),
        folder.display(),
        tools.display()
    );
    step::visibly(Command::new("sh").args(["-euc", &line]).current_dir(step::root()))?;
    let mut cargo = Command::new("cargo");
    cargo.args(["xtask"]).args(env::args().skip(1).filter(|word| word != "--twice"));
    cargo.current_dir(&folder).env_remove("CARGO_TARGET_DIR").env_remove("CARGO_MANIFEST_DIR");
    step::run("build in another folder", &mut cargo)?;
    let sums = |target: PathBuf| {
        let path = target.join("dist/SHA256SUMS");
        fs::read_to_string(&path).map_err(|error| step::at(&path, &error))
    };
    let (first, second) = (sums(step::target())?, sums(folder.join("target"))?);
    let differ: Vec<&str> =
        first.lines().filter(|line| !second.lines().any(|other| other == *line)).collect();
    if !differ.is_empty() || first.lines().count() != second.lines().count() {
        return Err(format!("a build in {} differs in:\n{}", folder.display(), differ.join("\n")));
    }
    eprintln!("xtask: a build in another folder made the same {} files", first.lines().count());
    step::visibly(Command::new("rm").arg("-rf").arg(&place))
}

impl Dist {
    fn prepare() -> Result<Self> {
        let git = |words: &[&str]| step::output(Command::new("git").args(words).current_dir(step::root()));
        let out = step::target().join("dist");
        let _ = fs::remove_dir_all(&out);
        fs::create_dir_all(&out).map_err(|error| step::at(&out, &error))?;
        let packages = tools::for_dist()?;
        let own = [step::target().join("tools/bin"), packages.join("bin")];
        let rest = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths(own.into_iter().chain(env::split_paths(&rest)));
        Ok(Self {
            // The commit's time is the only time in all files.
            epoch: git(&["log", "-1", "--format=%ct"])?.trim().to_owned(),
            commit: git(&["rev-parse", "HEAD"])?.trim().to_owned(),
            path: path.map_err(|error| error.to_string())?,
            packages,
            out,
        })
    }

    /// A command with the tools of `dist`.
    fn with_tools(&self, mut command: Command) -> Command {
        command
            .env("PATH", &self.path)
            .env("PYTHONPATH", &self.packages)
            .env("SOURCE_DATE_EPOCH", &self.epoch);
        command
    }

    /// Compiles a static binary that contains the list of its dependencies, and no path of this machine.
    fn compile(&self, machine: &str, build: Build) -> Result {
        let home = env::var_os("CARGO_HOME").map(PathBuf::from);
        let home = home.or_else(|| Some(env::home_dir()?.join(".cargo"))).ok_or("there is no home folder")?;
        let paths = [(step::root(), "/postrider"), (&home, "/cargo")];
        let option = |name, (from, to): (&Path, &str)| format!("{name}={}={to}", from.display());
        let triple = triple(machine);
        let words =
            ["auditable", "zigbuild", "--locked", "--release", "-p", "postrider", "--target", &triple];
        let mut cargo = self.with_tools(step::cargo(&words));
        cargo.env(
            "CARGO_ENCODED_RUSTFLAGS",
            paths.map(|path| option("--remap-path-prefix", path)).join("\u{1f}"),
        );
        cargo.env("CFLAGS", paths.map(|path| option("-ffile-prefix-map", path)).join(" "));
        // Zig's cache keeps objects with the paths of the folder that first compiled them.
        for cache in ["ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"] {
            cargo.env(cache, step::target().join("zig"));
        }
        // mimalloc contains the time at which it was compiled, which in a warm folder is that of an earlier commit.
        cargo.env("SOURCE_DATE_EPOCH", "0");
        step::run(&format!("compile for {machine} ({})", build.name()), cargo.args(build.flags()))
    }

    fn package(&self, machine: &str, build: Build, parts: &[&str]) -> Result {
        let mut script = self.with_tools(Command::new(step::root().join("packaging/package.sh")));
        script.arg(step::target().join(triple(machine)).join("release")).arg("binary").args(parts);
        script.env("CARGO_TARGET_DIR", step::target()).env("OUT", &self.out).env("MACHINE", machine);
        script
            .env("BUILD", build.name())
            .env("VERSION", env!("CARGO_PKG_VERSION"))
            .env("COMMIT", &self.commit);
        step::run(&format!("package for {machine} ({})", build.name()), &mut script)
    }
}
