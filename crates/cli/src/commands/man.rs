//! `postrider man`

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_mangen::Man;

use super::Cli;

/// Print the manual page of the program, or write the pages of all commands into a folder
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Folder for postrider.1, postrider-worker.1 and the others, as in /usr/share/man/man1; made if it is missing [default: print postrider.1]
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

impl ManArgs {
    pub(super) fn run(&self) -> Result<ExitCode, Box<dyn Error>> {
        let command = Cli::command().disable_help_subcommand(true);
        match &self.folder {
            Some(folder) => std::fs::create_dir_all(folder)
                .and_then(|()| clap_mangen::generate_to(command, folder))
                .map_err(|error| format!("cannot write to {}: {error}", folder.display()))?,
            // The reader may have gone.
            None => drop(Man::new(command).render(&mut io::stdout())),
        }
        Ok(ExitCode::SUCCESS)
    }
}
