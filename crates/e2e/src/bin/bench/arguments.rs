//! `bench [--rounds=N] [--jobs=N] [--in-flight=N] [--json]`

/// What one call measures.
pub(crate) struct Arguments {
    /// How often each variant runs.
    pub(crate) rounds: usize,
    /// Jobs of one run.
    pub(crate) jobs: usize,
    /// Jobs in the works at once.
    pub(crate) in_flight: usize,
    /// Prints JSON instead of a table.
    pub(crate) json: bool,
}

impl Arguments {
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Arguments, String> {
        let mut arguments = Arguments { rounds: 5, jobs: 50_000, in_flight: 64, json: false };
        for word in words {
            let (name, value) = word.split_once('=').unwrap_or((&word, ""));
            let number = || match value.parse() {
                Ok(number) if number > 0 => Ok(number),
                _ => Err(format!("`{word}`: `{name}=` needs a number of at least 1")),
            };
            match name {
                "--rounds" => arguments.rounds = number()?,
                "--jobs" => arguments.jobs = number()?,
                "--in-flight" => arguments.in_flight = number()?,
                "--json" => arguments.json = true,
                _ => {
                    return Err(format!(
                        "`{word}`: there are --rounds=N, --jobs=N, --in-flight=N and --json"
                    ));
                }
            }
        }
        Ok(arguments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Arguments, String> {
        Arguments::parse(words.iter().map(|&word| word.to_owned()))
    }

    #[test]
    fn a_number_is_taken_and_the_rest_keeps_its_default() {
        let arguments = parse(&["--jobs=7", "--json"]).unwrap();
        assert_eq!((arguments.jobs, arguments.in_flight, arguments.json), (7, 64, true));
    }

    #[test]
    fn zero_jobs_can_not_be_measured() {
        assert!(parse(&["--jobs=0"]).is_err());
    }
}
