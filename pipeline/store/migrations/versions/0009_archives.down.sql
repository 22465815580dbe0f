-- What the files of archives were when they were last looked at. (undone)

DROP TABLE ledger.archive_version;
