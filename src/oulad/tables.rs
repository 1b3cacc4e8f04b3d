//! The five tables as rows of our own types. Columns are found by name, rows keep their line.
//!
//! What a field may hold is checked here; how rows of different tables fit together is `mapping`'s.
//! A field that does not fit rejects its row and no other. What is *not* here: the table `vle`,
//! which says nothing about any learner.

use super::{Error, read_table};
use crate::feed::Reject;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::Path;

/// One presentation of a module: a course.
#[derive(Debug, Deserialize)]
pub(super) struct Course {
    pub(super) code_module: String,
    pub(super) code_presentation: String,
    pub(super) module_presentation_length: i32,
}

#[derive(Debug, Deserialize)]
pub(super) struct Assessment {
    pub(super) code_module: String,
    pub(super) code_presentation: String,
    pub(super) id_assessment: u32,
    /// The day it is due; exams at the end have none.
    pub(super) date: Option<i32>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Registration {
    pub(super) code_module: String,
    pub(super) code_presentation: String,
    pub(super) id_student: u32,
    pub(super) date_registration: Option<i32>,
    pub(super) date_unregistration: Option<i32>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Info {
    pub(super) code_module: String,
    pub(super) code_presentation: String,
    pub(super) id_student: u32,
    pub(super) final_result: FinalResult,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub(super) enum FinalResult {
    Pass,
    Distinction,
    Fail,
    Withdrawn,
}

#[derive(Debug, Deserialize)]
pub(super) struct Submission {
    pub(super) id_assessment: u32,
    pub(super) id_student: u32,
    pub(super) date_submitted: i32,
    /// 1 when it was carried over from an earlier presentation.
    pub(super) is_banked: u8,
    pub(super) score: Option<f64>,
}

/// A row, and the line it stood on.
pub(super) struct Row<T> {
    pub(super) line: u64,
    pub(super) row: T,
}

/// A table: its file's name, for rejects, and the rows that could be read.
pub(super) struct Table<T> {
    pub(super) file: String,
    pub(super) rows: Vec<Row<T>>,
}

/// All tables of a folder.
pub(super) struct Tables {
    pub(super) courses: Table<Course>,
    pub(super) assessments: Table<Assessment>,
    pub(super) registrations: Table<Registration>,
    pub(super) infos: Table<Info>,
    pub(super) submissions: Table<Submission>,
    /// Over the unpacked bytes of all five: packing a folder does not make it another import.
    pub(super) content_hash: u64,
}

impl Tables {
    pub(super) fn read(dir: &Path, rejects: &mut Vec<Reject>) -> Result<Self, Error> {
        let mut hash = xxhash_rust::xxh3::Xxh3::new();
        let mut reading = Reading { dir, rejects, hash: &mut hash };
        let courses = reading.table(
            "courses",
            &["code_module", "code_presentation", "module_presentation_length"],
        )?;
        let assessments = reading
            .table("assessments", &["code_module", "code_presentation", "id_assessment", "date"])?;
        let registrations = reading.table(
            "studentRegistration",
            &[
                "code_module",
                "code_presentation",
                "id_student",
                "date_registration",
                "date_unregistration",
            ],
        )?;
        let infos = reading.table(
            "studentInfo",
            &["code_module", "code_presentation", "id_student", "final_result"],
        )?;
        let submissions = reading.table(
            "studentAssessment",
            &["id_assessment", "id_student", "date_submitted", "is_banked", "score"],
        )?;
        let content_hash = hash.digest();
        Ok(Self { courses, assessments, registrations, infos, submissions, content_hash })
    }
}

struct Reading<'a> {
    dir: &'a Path,
    rejects: &'a mut Vec<Reject>,
    hash: &'a mut xxhash_rust::xxh3::Xxh3,
}

impl Reading<'_> {
    fn table<T: DeserializeOwned>(
        &mut self,
        table: &'static str,
        columns: &[&'static str],
    ) -> Result<Table<T>, Error> {
        let (path, bytes) = read_table(self.dir, table)?;
        self.hash.update(table.as_bytes());
        self.hash.update(&bytes);
        let mut reader = csv::Reader::from_reader(bytes.as_slice());
        let headers = match reader.headers() {
            Ok(headers) => headers.clone(),
            Err(source) => return Err(Error::Header { path, source }),
        };
        for &column in columns {
            if !headers.iter().any(|header| header == column) {
                return Err(Error::MissingColumn { path, column });
            }
        }
        let file = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        let mut rows = Vec::new();
        let mut record = csv::StringRecord::new();
        loop {
            let line = reader.position().line();
            let row = match reader.read_record(&mut record) {
                Ok(false) => break,
                Ok(true) => record.deserialize(Some(&headers)),
                Err(e) => Err(e),
            };
            match row {
                Ok(row) => rows.push(Row { line: record_line(&record, line), row }),
                Err(e) => self.rejects.push(Reject {
                    file: Some(file.clone()),
                    line: e.position().map_or(line, csv::Position::line),
                    code: "bad-request".into(),
                    reason: explain(&e, &headers),
                }),
            }
        }
        Ok(Table { file, rows })
    }
}

/// The line a record begins on; the reader's own position lags behind when it skips empty lines.
fn record_line(record: &csv::StringRecord, otherwise: u64) -> u64 {
    record.position().map_or(otherwise, csv::Position::line)
}

/// What is wrong with a row, in the words of its columns.
fn explain(error: &csv::Error, headers: &csv::StringRecord) -> String {
    match error.kind() {
        csv::ErrorKind::Deserialize { err, .. } => {
            let field = err.field().and_then(|i| headers.get(i as usize)).unwrap_or("the row");
            format!("{field}: {}", err.kind())
        }
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("the row has {len} fields, the table {expected_len}")
        }
        csv::ErrorKind::Utf8 { .. } => "the row is not UTF-8".into(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn write_all(dir: &Path, registrations: &str) {
        let tables = [
            (
                "courses.csv",
                "code_module,code_presentation,module_presentation_length\nAAA,2013J,268\n",
            ),
            (
                "assessments.csv",
                "code_module,code_presentation,id_assessment,date\nAAA,2013J,1,19\n",
            ),
            ("studentRegistration.csv", registrations),
            (
                "studentInfo.csv",
                "code_module,code_presentation,id_student,final_result\nAAA,2013J,1,Pass\n",
            ),
            (
                "studentAssessment.csv",
                "id_assessment,id_student,date_submitted,is_banked,score\n1,1,18,0,\n",
            ),
        ];
        for (name, text) in tables {
            fs::write(dir.join(name), text).unwrap();
        }
    }

    #[test]
    fn a_bad_row_is_rejected_with_its_line_and_the_rest_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        write_all(
            dir.path(),
            "code_module,code_presentation,id_student,date_registration,date_unregistration\n\
             AAA,2013J,1,-159,\n\
             AAA,2013J,zwei,-53,\n\
             AAA,2013J,3\n\
             AAA,2013J,4,,12\n",
        );
        let mut rejects = Vec::new();
        let tables = Tables::read(dir.path(), &mut rejects).unwrap();
        let lines: Vec<u64> = tables.registrations.rows.iter().map(|r| r.line).collect();
        assert_eq!(lines, [2, 5]);
        let said: Vec<_> = rejects.iter().map(|r| (r.line, r.reason.as_str())).collect();
        assert_eq!(
            said,
            [
                (3, "id_student: invalid digit found in string"),
                (4, "the row has 3 fields, the table 5")
            ]
        );
    }

    #[test]
    fn a_missing_table_or_column_is_named() {
        let dir = tempfile::tempdir().unwrap();
        write_all(dir.path(), "code_module,code_presentation,id_student\n");
        let column = Tables::read(dir.path(), &mut Vec::new()).err().unwrap().to_string();
        assert!(
            column.contains("studentRegistration.csv has no column date_registration"),
            "{column}"
        );
        fs::remove_file(dir.path().join("assessments.csv")).unwrap();
        let table = Tables::read(dir.path(), &mut Vec::new()).err().unwrap().to_string();
        assert!(table.contains("has no assessments.csv and no assessments.csv.zst"), "{table}");
    }
}
