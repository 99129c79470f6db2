import java.util.List;
import java.util.Set;

/** Who connects, and to which of a branch's databases. */
record Login(String role, String database) {

    static final String USUAL_ROLE = "neondb_owner";
    static final String USUAL_DATABASE = "neondb";

    /** Roles that Neon itself makes, and no application connects as. */
    private static final Set<String> NEONS_OWN_ROLES = Set.of("authenticator", "anonymous", "authenticated");

    /**
     * Chooses among what a branch has: the name that is given, else the usual one, else the only one that an application may use.
     *
     * @param role the role's name, or null to choose
     * @param database the database's name, or null to choose
     * @param branch the branch's name, for the failure
     * @throws Failure if what is given is not there, or there is no telling which is meant
     */
    static Login choose(String role, List<String> roles, String database, List<String> databases, String branch) {
        return new Login(choose(role, USUAL_ROLE, roles, "role", "--role-name", branch),
                choose(database, USUAL_DATABASE, databases, "database", "--database-name", branch));
    }

    private static String choose(String given, String usual, List<String> there, String what, String option, String branch) {
        String wanted = given == null ? usual : given;
        List<String> usable = there.stream().filter(name -> !NEONS_OWN_ROLES.contains(name)).sorted().toList();
        if (there.contains(wanted)) {
            return wanted;
        }
        if (given == null && usable.size() == 1) {
            return usable.get(0);
        }
        String list = usable.isEmpty() ? "it has none; make one in the Neon Console"
                : "it has '" + String.join("', '", usable) + "'; name one of them with " + option;
        throw new Failure("Could not choose a " + what + " of Neon branch '" + branch + "': "
                + (given == null ? "" : "there is no '" + given + "', ") + list + ".");
    }
}
