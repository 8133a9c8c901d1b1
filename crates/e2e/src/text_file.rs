//! A file with a text: a worker's configuration, or a key or certificate that it names.

use std::io::Write;

use tempfile::NamedTempFile;

/// A file in the folder for temporary files, which its owner alone may read; removed when dropped.
pub struct TextFile(NamedTempFile);

impl TextFile {
    /// Makes a file with this text.
    ///
    /// # Panics
    ///
    /// When the folder for temporary files cannot be written.
    pub fn new(text: &str) -> TextFile {
        let file = tempfile::Builder::new().prefix("postrider-").tempfile();
        let mut file = file.expect("the folder for temporary files can be written");
        file.write_all(text.as_bytes()).expect("a new file can be written");
        TextFile(file)
    }

    /// Where it stands.
    ///
    /// # Panics
    ///
    /// When the name of the folder for temporary files is no text.
    pub fn path(&self) -> &str {
        self.0.path().to_str().expect("the folder for temporary files has a text for a name")
    }
}
