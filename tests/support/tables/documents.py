# Copyright (c) 2026, the fleetops.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of applications' own, as users of FastAPI write them: tasks, a log of tasks, sessions.

They differ on purpose in what differs in the field: one keeps a real enumeration and times without a zone, one plain
text and foreign keys with no cascade, one flags instead of statuses and times with a zone.
"""

from __future__ import annotations

import sqlalchemy as sa

# MySQL's DATETIME drops fractions of a second unless told; a test of "two hours and one second" can live with that.
_NAIVE = sa.DateTime()
_AWARE = sa.DateTime(timezone=True)

PROCESSING_TASKS = sa.MetaData()
processing_tasks = sa.Table(
    "processing_tasks",
    PROCESSING_TASKS,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("celery_task_id", sa.String(155), unique=True),
    sa.Column(
        "task_type",
        sa.Enum(
            *("DOWNLOAD", "EXTRACT_AUDIO", "GENERATE_SRT", "VIDEO_SLICE", "CAPCUT_EXPORT", "JIANYING_EXPORT"),
            name="processingtasktype",
        ),
        nullable=False,
    ),
    sa.Column(
        "status",
        sa.Enum("PENDING", "RUNNING", "SUCCESS", "FAILURE", "RETRY", "REVOKED", name="processingtaskstatus"),
        nullable=False,
    ),
    sa.Column("progress", sa.Float, nullable=False, server_default="0"),
    sa.Column("error_message", sa.Text),
    sa.Column("created_at", _NAIVE, nullable=False),
    sa.Column("started_at", _NAIVE),
    sa.Column("completed_at", _NAIVE),
    sa.Column("updated_at", _NAIVE),
    sa.Index("ix_processing_tasks_status", "status"),
)

TASK_LOGS = sa.MetaData()
task_logs = sa.Table(
    "task_logs",
    TASK_LOGS,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("task_id", sa.String(255), nullable=False, unique=True),
    sa.Column("task_name", sa.String(255), nullable=False),
    sa.Column("status", sa.String(50), nullable=False),
    sa.Column("args", sa.Text),
    sa.Column("kwargs", sa.Text),
    sa.Column("result", sa.Text),
    sa.Column("error_message", sa.Text),
    sa.Column("created_at", _NAIVE, nullable=False),
    sa.Column("started_at", _NAIVE),
    sa.Column("completed_at", _NAIVE),
    sa.Column("retries", sa.Integer, nullable=False, server_default="0"),
)
task_metadata = sa.Table(
    "task_metadata",
    TASK_LOGS,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("task_id", sa.ForeignKey("task_logs.id"), nullable=False),
    sa.Column("queue_name", sa.String(100)),
    sa.Column("priority", sa.Integer),
    sa.Column("eta", _NAIVE),
    sa.Column("created_at", _NAIVE),
)
task_execution_history = sa.Table(
    "task_execution_history",
    TASK_LOGS,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("task_id", sa.ForeignKey("task_logs.id"), nullable=False),
    sa.Column("attempt_number", sa.Integer, nullable=False),
    sa.Column("status", sa.String(50), nullable=False),
    sa.Column("started_at", _NAIVE),
    sa.Column("completed_at", _NAIVE),
    sa.Column("error_message", sa.Text),
)
task_results = sa.Table(
    "task_results",
    TASK_LOGS,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("task_id", sa.ForeignKey("task_logs.id"), nullable=False),
    sa.Column("status", sa.String(50), nullable=False),
    sa.Column("result", sa.Text),
    sa.Column("traceback", sa.Text),
    sa.Column("created_at", _NAIVE),
)
worker_status = sa.Table(
    "worker_status",
    TASK_LOGS,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("worker_name", sa.String(255), nullable=False, unique=True),
    sa.Column("status", sa.String(50), nullable=False),
    sa.Column("last_heartbeat", _NAIVE),
    sa.Column("active_tasks", sa.Integer, nullable=False, server_default="0"),
    sa.Column("processed_tasks", sa.Integer, nullable=False, server_default="0"),
    sa.Column("failed_tasks", sa.Integer, nullable=False, server_default="0"),
)
queue_stats = sa.Table(
    "queue_stats",
    TASK_LOGS,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("queue_name", sa.String(100), nullable=False),
    sa.Column("message_count", sa.Integer, nullable=False),
    sa.Column("recorded_at", _NAIVE, nullable=False),
)

READING_SESSIONS = sa.MetaData()
reading_sessions = sa.Table(
    "reading_sessions",
    READING_SESSIONS,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("user_id", sa.String(36), nullable=False),
    sa.Column("book_id", sa.String(36), nullable=False),
    sa.Column("started_at", _AWARE, nullable=False),
    sa.Column("ended_at", _AWARE),
    sa.Column("duration_minutes", sa.Integer, nullable=False, server_default="0"),
    sa.Column("start_position", sa.Integer, nullable=False, server_default="0"),
    # NULL until the reader moves.
    sa.Column("end_position", sa.Integer),
    sa.Column("is_active", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Index("idx_reading_sessions_cleanup", "is_active", "started_at"),
)
