-- MySQL, MariaDB: text is binary, so that it compares by bytes. A resource is a document; key_* are numbers that stand for values inside it (src/api/db/facts.rs).

CREATE TABLE IF NOT EXISTS clients (
    id VARBINARY(255) NOT NULL,
    project_id VARBINARY(255) NOT NULL,
    version BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL,
    central BIGINT,
    key_hostname BIGINT NOT NULL,
    key_uuid BIGINT NOT NULL,
    document LONGBLOB NOT NULL,
    facts LONGBLOB NOT NULL,
    words LONGBLOB NOT NULL,
    PRIMARY KEY (project_id, id),
    INDEX clients_in_order (project_id, created_us, id),
    INDEX clients_by_id (id),
    INDEX clients_by_hostname (project_id, key_hostname, created_us, id),
    INDEX clients_by_uuid (project_id, key_uuid, created_us, id)
) ENGINE=InnoDB;

CREATE TABLE IF NOT EXISTS actions (
    id VARBINARY(255) NOT NULL,
    project_id VARBINARY(255) NOT NULL,
    version BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL,
    document LONGBLOB NOT NULL,
    facts LONGBLOB NOT NULL,
    words LONGBLOB NOT NULL,
    PRIMARY KEY (id),
    INDEX actions_in_order (project_id, created_us, id)
) ENGINE=InnoDB;

CREATE TABLE IF NOT EXISTS jobs (
    id VARBINARY(255) NOT NULL,
    project_id VARBINARY(255) NOT NULL,
    version BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL,
    key_client_id BIGINT NOT NULL,
    key_status BIGINT NOT NULL,
    key_session_id BIGINT NOT NULL,
    client_project VARBINARY(255) NOT NULL,
    document LONGBLOB NOT NULL,
    facts LONGBLOB NOT NULL,
    words LONGBLOB NOT NULL,
    PRIMARY KEY (id),
    INDEX jobs_in_order (project_id, created_us, id),
    INDEX jobs_by_client_id (project_id, key_client_id, created_us, id),
    INDEX jobs_by_session_id (project_id, key_session_id, created_us, id),
    INDEX jobs_of_client (key_client_id, created_us, id)
) ENGINE=InnoDB;

CREATE TABLE IF NOT EXISTS sessions (
    id VARBINARY(255) NOT NULL,
    project_id VARBINARY(255) NOT NULL,
    version BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL,
    time_start BIGINT,
    key_status BIGINT NOT NULL,
    document LONGBLOB NOT NULL,
    facts LONGBLOB NOT NULL,
    words LONGBLOB NOT NULL,
    PRIMARY KEY (id),
    INDEX sessions_in_order (project_id, created_us, id),
    INDEX sessions_by_status (project_id, key_status, created_us, id),
    INDEX sessions_under_way (key_status, time_start)
) ENGINE=InnoDB;

CREATE TABLE IF NOT EXISTS backups (
    id VARBINARY(255) NOT NULL,
    project_id VARBINARY(255) NOT NULL,
    version BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL,
    time_stamp BIGINT,
    key_hostname BIGINT NOT NULL,
    key_backup_name BIGINT NOT NULL,
    key_job_id BIGINT NOT NULL,
    key_container BIGINT NOT NULL,
    document LONGBLOB NOT NULL,
    facts LONGBLOB NOT NULL,
    words LONGBLOB NOT NULL,
    PRIMARY KEY (id),
    INDEX backups_in_order (project_id, created_us, id),
    INDEX backups_by_hostname (project_id, key_hostname, created_us, id),
    INDEX backups_by_backup_name (project_id, key_backup_name, created_us, id),
    INDEX backups_by_job_id (project_id, key_job_id, created_us, id),
    INDEX backups_by_container (project_id, key_container, created_us, id),
    INDEX backups_by_time (project_id, time_stamp)
) ENGINE=InnoDB;

CREATE TABLE IF NOT EXISTS job_actions (
    job_id VARBINARY(255) NOT NULL,
    action_id VARBINARY(255) NOT NULL,
    PRIMARY KEY (job_id, action_id),
    INDEX job_actions_of_action (action_id)
) ENGINE=InnoDB;

CREATE TABLE IF NOT EXISTS users (
    id VARBINARY(255) NOT NULL,
    name VARBINARY(255) NOT NULL,
    project_id VARBINARY(255) NOT NULL,
    roles LONGBLOB NOT NULL,
    password LONGBLOB NOT NULL,
    created_us BIGINT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE INDEX users_by_name (name)
) ENGINE=InnoDB;

CREATE TABLE IF NOT EXISTS tokens (
    digest VARBINARY(255) NOT NULL,
    id VARBINARY(255) NOT NULL,
    user_id VARBINARY(255) NOT NULL,
    user_name VARBINARY(255) NOT NULL,
    project_id VARBINARY(255) NOT NULL,
    roles LONGBLOB NOT NULL,
    client_id VARBINARY(255) NOT NULL,
    comment LONGBLOB NOT NULL,
    created_us BIGINT NOT NULL,
    expires_us BIGINT NOT NULL,
    PRIMARY KEY (digest),
    INDEX tokens_by_id (id),
    INDEX tokens_of_user (user_id)
) ENGINE=InnoDB;
