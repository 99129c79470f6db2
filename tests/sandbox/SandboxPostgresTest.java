//SOURCES Sandbox.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.SQLException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** The databases behind the sandbox: as apart from one another, and as alike, as Neon's branches. */
@Tag("slow")
class SandboxPostgresTest {

    private static final List<String> CUSTOMERS = List.of("Alder Books", "Birch Bikes", "Cedar Cinema");

    /** PostgreSQL's code for what a role has no right to: https://www.postgresql.org/docs/17/errcodes-appendix.html. */
    private static final String NOT_ALLOWED = "42501";
    private static final String WRONG_PASSWORD = "28P01";

    private static SandboxPostgres postgres;
    private static SandboxNeon neon;

    @BeforeAll
    static void start() {
        postgres = new SandboxPostgres();
        neon = new SandboxNeon(secret -> { }, postgres);
    }

    @AfterAll
    static void stop() {
        postgres.close();
    }

    @Test
    void a_branch_has_its_parents_rows_and_keeps_its_own_to_itself() throws SQLException {
        neon.add("child");
        neon.add("grandchild", "child");
        add("child", "Dune Diner");
        assertEquals(List.of("Alder Books", "Birch Bikes", "Cedar Cinema", "Dune Diner"), customers("child"));
        assertEquals(CUSTOMERS, customers("grandchild"));
        assertEquals(CUSTOMERS, customers("production"));
    }

    @Test
    void a_login_reaches_its_own_branch_only() {
        neon.add("one");
        neon.add("other");
        String one = neon.connectionString("one");
        for (String branch : List.of("other", "production")) {
            String door = neon.connectionString(branch).replaceFirst(".*@([^/]*)/.*", "$1");
            assertRefused(WRONG_PASSWORD, one.replaceFirst("@[^/]*/", "@" + door + "/"));
        }
        assertRefused(NOT_ALLOWED, one.replace("/neondb?", "/postgres?"));
    }

    @Test
    void a_password_lets_its_own_login_in_only() {
        neon.add("mine");
        neon.add("yours");
        assertRefused(WRONG_PASSWORD, neon.connectionString("yours").replaceFirst(":[^:@]+@",
                ":" + SandboxHttp.encode(neon.branch("mine").passwords.get("neondb_owner")) + "@"));
    }

    @Test
    void a_branch_owns_what_its_parent_owned() throws SQLException {
        neon.add("owner");
        execute("owner", "ALTER TABLE customers ADD COLUMN city text");
        execute("production", "ALTER TABLE customers ADD COLUMN country text");
        execute("production", "ALTER TABLE customers DROP COLUMN country");
        execute("owner", "CREATE SCHEMA app");
    }

    @Test
    void a_branch_is_made_while_somebody_is_connected_to_the_parent() throws SQLException {
        try (Connection connection = SandboxPostgres.connect(neon.connectionString("production"))) {
            assertTrue(connection.isValid(5));
            neon.add("busy");
            assertEquals(CUSTOMERS, customers("busy"));
        }
        assertEquals(CUSTOMERS, customers("production"));
    }

    @Test
    void a_schema_only_branch_has_the_tables_without_the_rows() throws SQLException {
        SandboxHttp.Answer answer = request("POST", "/branches", """
                {"branch":{"name":"empty","init_source":"schema-only"},"endpoints":[{"type":"read_write"}]}""");
        assertEquals(201, answer.status());
        assertEquals(List.of(), customers("empty"));
        add("empty", "Dune Diner");
        assertEquals(CUSTOMERS, customers("production"));
    }

    @Test
    void a_restored_branch_has_its_parents_rows_under_the_same_connection_string() throws SQLException {
        SandboxBranch branch = neon.add("restored");
        add("restored", "Dune Diner");
        String connectionString = neon.connectionString("restored");
        assertEquals(200, request("POST", "/branches/" + branch.id + "/restore",
                "{\"source_branch_id\":\"" + branch.parentId + "\"}").status());
        assertEquals(connectionString, neon.connectionString("restored"));
        assertEquals(CUSTOMERS, customers("restored"));
    }

    @Test
    void a_masked_branch_has_its_parents_rows_until_it_is_masked() throws SQLException {
        neon.maskingTakes(Duration.ZERO, 3);
        execute("production", "CREATE TABLE people (id integer, name text, email text, phone text, code text)");
        execute("production", "INSERT INTO people VALUES (1, 'Ada', 'ada@shop.example', '030 123456', 'c'), (2, 'Bo', NULL, '0', 'd')");
        String id = createMasked("people-masked", """
                [{"masking_value": "'it''s nobody'", "column_name": "name"},
                 {"masking_function": "anon.fake_email()", "column_name": "email"},
                 {"masking_function": "anon.partial(phone, 3, '***', 2)", "column_name": "phone"},
                 {"masking_function": "anon.random_string(8)", "column_name": "code"}]""", "people");
        String row = "SELECT concat_ws('|', name, email, phone, code) FROM people WHERE id = 1";
        for (String state = ""; !"anonymized".equals(state); state = state(id)) {
            assertEquals(List.of("Ada|ada@shop.example|030 123456|c"), strings("people-masked", row));
        }
        String masked = strings("people-masked", row).get(0);
        assertTrue(masked.matches("it's nobody\\|[a-z]{12}@example\\.com\\|030\\*\\*\\*56\\|[a-z]{8}"), masked);
        assertEquals(2, strings("people-masked", "SELECT DISTINCT email FROM people").size());
        assertEquals(List.of("Ada|ada@shop.example|030 123456|c"), strings("production", row));
    }

    @Test
    void a_rule_that_cannot_be_applied_fails_the_masking_in_postgres_words() {
        neon.maskingTakes(Duration.ZERO, 0);
        String id = createMasked("wrongly-masked", """
                [{"masking_value": "'x'", "column_name": "no_such_column"}]""", "customers");
        assertEquals("error", state(id));
        assertTrue(neon.branch(id).masking.message.contains("column \"no_such_column\""), neon.branch(id).masking.message);
    }

    @Test
    void a_deleted_branch_cannot_be_connected_to() throws SQLException {
        SandboxBranch branch = neon.add("deleted");
        String connectionString = neon.connectionString("deleted");
        try (Connection connection = SandboxPostgres.connect(connectionString)) {
            assertEquals(200, request("DELETE", "/branches/" + branch.id, "").status());
            assertFalse(connection.isValid(5));
        }
        assertThrows(SQLException.class, () -> SandboxPostgres.connect(connectionString));
    }

    @Test
    void two_servers_know_nothing_of_each_other_and_leave_nothing_behind() throws SQLException {
        SandboxPostgres another = new SandboxPostgres();
        Path folder = another.folder();
        try {
            SandboxNeon anotherNeon = new SandboxNeon(secret -> { }, another);
            SandboxPostgres.query(anotherNeon.connectionString("production"), "DELETE FROM customers");
            assertEquals(CUSTOMERS, customers("production"));
            assertTrue(processes(folder) > 0);
        } finally {
            another.close();
        }
        assertFalse(Files.exists(folder));
        assertEquals(0, processes(folder));
        assertEquals(CUSTOMERS, customers("production"));
    }

    private static long processes(Path folder) {
        return ProcessHandle.allProcesses()
                .filter(process -> process.info().command().filter(program -> program.startsWith(folder.toString())).isPresent()).count();
    }

    private static SandboxHttp.Answer request(String method, String path, String body) {
        Map<String, String> headers = Map.of("authorization", "Bearer napi_x");
        return new SandboxNeonApi(neon, "napi_x")
                .answer(new SandboxHttp.Request(method, path, Map.of(), headers, body), "/projects/" + SandboxNeon.PROJECT_ID + path);
    }

    /** Asks for a masked branch; the rules are those of one table's columns. Returns its id. */
    private static String createMasked(String name, String rules, String table) {
        String place = "{\"database_name\": \"neondb\", \"schema_name\": \"public\", \"table_name\": \"" + table + "\", ";
        SandboxHttp.Answer answer = request("POST", "/branch_anonymized", """
                {"branch_create": {"branch": {"name": "%s"}, "endpoints": [{"type": "read_write"}]},
                 "masking_rules": %s, "start_anonymization": true}""".formatted(name, rules.replace("{", place)));
        assertEquals(201, answer.status(), answer.body());
        return neon.branch(name).id;
    }

    private static String state(String branchId) {
        return SandboxJson.read(request("GET", "/branches/" + branchId + "/anonymized_status", "").body()).path("state").asText();
    }

    private static void assertRefused(String sqlState, String connectionString) {
        SQLException refusal = assertThrows(SQLException.class, () -> SandboxPostgres.connect(connectionString).close());
        assertEquals(sqlState, refusal.getSQLState(), refusal.getMessage());
    }

    private static void add(String branch, String name) throws SQLException {
        execute(branch, "INSERT INTO customers (name) VALUES ('" + name + "')");
    }

    private static void execute(String branch, String sql) throws SQLException {
        strings(branch, sql);
    }

    private static List<String> customers(String branch) throws SQLException {
        return strings(branch, "SELECT name FROM customers ORDER BY id");
    }

    private static List<String> strings(String branch, String sql) throws SQLException {
        return SandboxPostgres.query(neon.connectionString(branch), sql);
    }
}
