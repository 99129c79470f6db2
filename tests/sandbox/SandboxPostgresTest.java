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
import java.time.Instant;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** The sandbox's databases are as separate, and as similar, as those of Neon's branches. */
@Tag("slow")
class SandboxPostgresTest {

    private static final List<String> CUSTOMERS = List.of("Alder Books", "Birch Bikes", "Cedar Cinema");

    /** https://www.postgresql.org/docs/17/errcodes-appendix.html */
    private static final String NO_PRIVILEGE = "42501";
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
    void a_branch_starts_with_its_parents_rows_and_keeps_its_own() throws SQLException {
        neon.add("child");
        neon.add("grandchild", "child");
        addCustomer("child");
        assertEquals(List.of("Alder Books", "Birch Bikes", "Cedar Cinema", "Dune Diner"), customers("child"));
        assertEquals(CUSTOMERS, customers("grandchild"));
        assertEquals(CUSTOMERS, customers("production"));
    }

    @Test
    void a_child_of_a_protected_branch_has_a_password_of_its_own() {
        neon.add("protected").makeProtected();
        neon.add("child of protected", "protected");
        String address = neon.connectionString("protected").replaceFirst(".*@", "@");
        assertRefused(WRONG_PASSWORD, neon.connectionString("child of protected").replaceFirst("@.*", address));
    }

    @Test
    void an_app_cannot_connect_to_the_system_database() {
        assertRefused(NO_PRIVILEGE, neon.connectionString("production").replace("/neondb?", "/postgres?"));
    }

    @Test
    void the_role_of_an_app_owns_its_tables() throws SQLException {
        neon.add("owner");
        query("owner", "ALTER TABLE customers ADD COLUMN city text");
        query("owner", "CREATE SCHEMA app");
    }

    @Test
    void a_branch_can_be_created_while_an_app_is_connected_to_its_parent() throws SQLException {
        try (Connection connection = SandboxPostgres.connect(neon.connectionString("production"))) {
            assertTrue(connection.isValid(5));
            neon.add("busy");
            assertEquals(CUSTOMERS, customers("busy"));
        }
    }

    @Test
    void a_schema_only_branch_has_tables_without_rows() throws SQLException {
        request("POST", "/branches", """
                {"branch":{"name":"empty","init_source":"schema-only"},"endpoints":[{"type":"read_write"}]}""");
        assertEquals(List.of(), customers("empty"));
        assertEquals(CUSTOMERS, customers("production"));
    }

    @Test
    void a_reset_branch_has_its_parents_rows_and_its_old_connection_string() throws SQLException {
        SandboxBranch branch = neon.add("reset");
        addCustomer("reset");
        String connectionString = neon.connectionString("reset");
        request("POST", "/branches/" + branch.id + "/restore", "{\"source_branch_id\":\"" + branch.parentId + "\"}");
        assertEquals(connectionString, neon.connectionString("reset"));
        assertEquals(CUSTOMERS, customers("reset"));
    }

    @Test
    void a_masked_branch_has_its_parents_rows_until_it_is_masked() throws SQLException {
        neon.maskingTakes(Duration.ZERO, 3);
        query("production", "CREATE TABLE people (id integer, name text, email text, phone text, code text)");
        query("production", "INSERT INTO people VALUES (1, 'Ada', 'ada@shop.example', '030 123456', 'c'), (2, 'Bo', NULL, '0', 'd')");
        String id = createMasked("masked", """
                [{"masking_value": "'it''s nobody'", "column_name": "name"},
                 {"masking_function": "anon.fake_email()", "column_name": "email"},
                 {"masking_function": "anon.partial(phone, 3, '***', 2)", "column_name": "phone"},
                 {"masking_function": "anon.random_string(8)", "column_name": "code"}]""");
        String row = "SELECT concat_ws('|', name, email, phone, code) FROM people WHERE id = 1";
        for (String state = ""; !"anonymized".equals(state); state = maskingState(id)) {
            assertEquals(List.of("Ada|ada@shop.example|030 123456|c"), query("masked", row));
        }
        String masked = query("masked", row).get(0);
        assertTrue(masked.matches("it's nobody\\|[a-z]{12}@example\\.com\\|030\\*\\*\\*56\\|[a-z]{8}"), masked);
        assertEquals(2, query("masked", "SELECT DISTINCT email FROM people").size());
        assertEquals(List.of("Ada|ada@shop.example|030 123456|c"), query("production", row));
    }

    @Test
    void a_masking_rule_that_cannot_be_applied_fails_with_postgresqls_message() {
        neon.maskingTakes(Duration.ZERO, 0);
        String id = createMasked("failed", "[{\"masking_value\": \"'x'\", \"column_name\": \"no_such_column\"}]");
        assertEquals("error", maskingState(id));
        assertTrue(neon.branch(id).masking.message.contains("does not exist"), neon.branch(id).masking.message);
    }

    @Test
    void a_deleted_branch_ends_its_connections_and_accepts_no_new_one() throws SQLException {
        SandboxBranch branch = neon.add("deleted");
        String connectionString = neon.connectionString("deleted");
        try (Connection connection = SandboxPostgres.connect(connectionString)) {
            request("DELETE", "/branches/" + branch.id, "");
            assertFalse(connection.isValid(5));
        }
        assertThrows(SQLException.class, () -> SandboxPostgres.connect(connectionString));
    }

    @Test
    void two_sandboxes_are_independent_and_leave_nothing_behind() throws SQLException {
        SandboxPostgres another = new SandboxPostgres();
        try {
            SandboxNeon anotherNeon = new SandboxNeon(secret -> { }, another);
            SandboxPostgres.query(anotherNeon.connectionString("production"), "DELETE FROM customers");
            assertEquals(CUSTOMERS, customers("production"));
            assertTrue(processes(another.folder) > 0);
        } finally {
            another.close();
        }
        assertFalse(Files.exists(another.folder));
        assertEquals(0, processes(another.folder));
    }

    private static long processes(Path folder) {
        return ProcessHandle.allProcesses()
                .filter(process -> process.info().command().filter(program -> program.startsWith(folder.toString())).isPresent()).count();
    }

    private static String request(String method, String path, String body) {
        Map<String, String> headers = Map.of("authorization", "Bearer napi_x");
        SandboxHttp.Answer answer = new SandboxNeonApi(neon, "napi_x", Instant::now).answer(
                new SandboxHttp.Request(method, "/api/v2/projects/" + SandboxNeon.PROJECT_ID + path, Map.of(), headers, body));
        assertEquals(2, answer.status() / 100, answer.body());
        return answer.body();
    }

    /** Creates a masked branch with rules for columns of the table {@code people}, and returns its id. */
    private static String createMasked(String name, String rules) {
        request("POST", "/branch_anonymized", """
                {"branch_create": {"branch": {"name": "%s"}, "endpoints": [{"type": "read_write"}]},
                 "masking_rules": %s, "start_anonymization": true}""".formatted(name,
                rules.replace("{", "{\"database_name\": \"neondb\", \"schema_name\": \"public\", \"table_name\": \"people\", ")));
        return neon.branch(name).id;
    }

    private static String maskingState(String branchId) {
        return SandboxJson.read(request("GET", "/branches/" + branchId + "/anonymized_status", "")).path("state").asText();
    }

    private static void assertRefused(String sqlState, String connectionString) {
        SQLException refusal = assertThrows(SQLException.class, () -> SandboxPostgres.connect(connectionString).close());
        assertEquals(sqlState, refusal.getSQLState(), refusal.getMessage());
    }

    private static void addCustomer(String branch) throws SQLException {
        query(branch, "INSERT INTO customers (name) VALUES ('Dune Diner')");
    }

    private static List<String> customers(String branch) throws SQLException {
        return query(branch, "SELECT name FROM customers ORDER BY id");
    }

    private static List<String> query(String branch, String sql) throws SQLException {
        return SandboxPostgres.query(neon.connectionString(branch), sql);
    }
}
