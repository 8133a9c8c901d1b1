//! A text file: a worker's configuration, or a key or certificate for it.

use std::io::Write;

use tempfile::NamedTempFile;

/// A temporary file that only its owner may read. It is removed when dropped.
pub struct TextFile(NamedTempFile);

impl TextFile {
    /// Creates a file with this text.
    ///
    /// # Panics
    ///
    /// If the folder for temporary files cannot be written.
    pub fn new(text: &str) -> TextFile {
        let file = tempfile::Builder::new().prefix("postrider-").tempfile();
        let mut file = file.expect("the folder for temporary files can be written");
        file.write_all(text.as_bytes()).expect("a new file can be written");
        TextFile(file)
    }

    /// Its path.
    ///
    /// # Panics
    ///
    /// If the path is not valid UTF-8.
    pub fn path(&self) -> &str {
        self.0.path().to_str().expect("the folder for temporary files has a text for a name")
    }
}
