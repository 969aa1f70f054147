//! What is wrong with a profile, and where.

use std::fmt;

/// A place in a file. Lines and columns count from 1; columns count characters. Both are 0 for a
/// place in an object, which has no text.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Position {
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
}

/// One thing that is wrong in one file. A file's problems are reported all at once.
///
/// Printed as `FILE:LINE:COLUMN: PATH: MESSAGE`, the form that editors can jump to; of an object
/// without line and column.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// The file, as the user named it.
    pub file: String,
    /// Where in the file.
    pub at: Position,
    /// The field, such as `spec.gpu.perGpu.cpu`; empty when the file as a whole is meant.
    pub path: String,
    /// What is wrong, and where possible what to write instead. Lower case, no full stop.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, at: Position { line, column }, path, message } = self;
        match line {
            0 => write!(formatter, "{file}: ")?,
            _ => write!(formatter, "{file}:{line}:{column}: ")?,
        }
        if !path.is_empty() {
            write!(formatter, "{path}: ")?;
        }
        formatter.write_str(message)
    }
}
