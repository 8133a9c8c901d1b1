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
    /// Only these builds
    #[arg(long, value_delimiter = ',', value_name = "BUILD", value_enum)]
    build: Vec<Build>,
    /// Only these parts
    #[arg(long, value_delimiter = ',', value_name = "PART", value_parser = PARTS)]
    only: Vec<String>,
    /// Build the commit in a second folder, too, and compare all files
    #[arg(long)]
    twice: bool,
}

const MACHINES: [&str; 2] = ["x86_64", "aarch64"];
/// The functions of `packaging/package.sh`, without `binary`, which they need.
const PARTS: [&str; 7] = ["archive", "deb", "image", "wheel", "npm", "clients", "sbom"];

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
    let builds =
        Build::ALL.into_iter().filter(|build| options.build.is_empty() || options.build.contains(build));
    let builds: Vec<Build> = builds.collect();
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
        dist.c_library(machine)?;
        for &build in &builds {
            dist.compile(machine, build)?;
            dist.package(machine, build, &parts)?;
        }
    }
    dist.verify()?;
    let sums = ["-euc", "sha256sum -- * >../SHA256SUMS && mv ../SHA256SUMS ."];
    step::visibly(Command::new("sh").args(sums).current_dir(&dist.out).env("LC_ALL", "C"))?;
    eprintln!("xtask: everything is in {}", dist.out.display());
    if options.twice { again() } else { Ok(()) }
}

fn triple(machine: &str) -> String {
    format!("{machine}-unknown-linux-musl")
}

fn zig_cache() -> PathBuf {
    step::target().join("zig")
}

/// The folder of the tools, without links on the way.
fn real_tools() -> Result<PathBuf> {
    let tools = step::target().join("tools");
    fs::canonicalize(&tools).map_err(|error| step::at(&tools, &error))
}

fn cargo_home() -> Result<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    home.or_else(|| Some(env::home_dir()?.join(".cargo"))).ok_or("there is no home folder".into())
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

    /// Lets Zig compile its C library, by linking an empty program as the worker will be linked, and removes the debug symbols
    /// from that. They name this folder and Zig's, for which Zig has no option, and it does not look into its cache again.
    fn c_library(&self, machine: &str) -> Result {
        let empty = step::root().join("packaging/empty/Cargo.toml");
        let mut cargo = self.zigbuild(&["zigbuild", "--locked", "--manifest-path"], machine, &empty)?;
        step::run(&format!("compile the C library for {machine}"), &mut cargo)?;
        let mut find = Command::new("find");
        find.arg(zig_cache()).args(["(", "-name", "*.a", "-o", "-name", "*crt?.o", ")", "-exec"]);
        find.arg(step::root().join("packaging/objcopy.sh")).args(["--strip-debug", "{}", ";"]);
        step::visibly(&mut find)
    }

    /// Compiles a static binary that contains the list of its dependencies.
    fn compile(&self, machine: &str, build: Build) -> Result {
        let words = ["auditable", "zigbuild", "--locked", "-p", "postrider", "--manifest-path"];
        let mut cargo = self.zigbuild(&words, machine, &step::root().join("Cargo.toml"))?;
        step::run(&format!("compile for {machine} ({})", build.name()), cargo.args(build.flags()))
    }

    /// A call of Cargo that compiles with Zig and puts no path of this machine into a binary.
    fn zigbuild(&self, words: &[&str], machine: &str, manifest: &Path) -> Result<Command> {
        // Of several that match, the last one counts.
        let paths = [
            (cargo_home()?, "/cargo"),
            (step::root().into(), "/postrider"),
            (step::target(), "/postrider/target"),
            // Zig's headers are there, by their real path; `--twice` has a link to them.
            (real_tools()?, "/postrider/target/tools"),
        ];
        let option = |name, (from, to): &(PathBuf, &str)| format!("{name}={}={to}", from.display());
        let mut cargo = self.with_tools(step::cargo(words));
        cargo.arg(manifest).args(["--release", "--target", &triple(machine)]);
        let flags = paths.each_ref().map(|path| option("--remap-path-prefix", path));
        cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
        cargo.env("CFLAGS", paths.each_ref().map(|path| option("-ffile-prefix-map", path)).join(" "));
        // Zig's cache keeps objects with the paths of the folder that first compiled them.
        for cache in ["ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"] {
            cargo.env(cache, zig_cache());
        }
        // mimalloc contains the time at which it was compiled, which in a warm folder is that of an earlier commit.
        cargo.env("SOURCE_DATE_EPOCH", "0");
        Ok(cargo)
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

    /// Checks in all files what docs/releasing.md promises: one binary, its dependencies, no path of this machine.
    fn verify(&self) -> Result {
        let mut script = self.with_tools(Command::new("python3"));
        script
            .arg("-B")
            .arg(step::root().join("packaging/verify.py"))
            .arg(&self.out)
            .arg(env!("CARGO_PKG_VERSION"));
        script.arg(step::root()).arg(step::target()).arg(cargo_home()?).arg(real_tools()?);
        step::run("verify", &mut script)
    }
}
