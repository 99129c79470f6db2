import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;

/**
 * Decides, from values alone, which Neon branches a clean-up deletes and which it keeps. It asks nothing and deletes nothing.
 *
 * <p>Only a branch named after the app can be an orphan; of those, whatever is live, wanted, or holds up something that stays is kept.
 *
 * @param delete the orphans, children before their parents, in the same order whatever the order of the lists they came from
 * @param kept the app's other branches, by name; branches of others are not mentioned
 */
record CleanupPlan(List<NeonApi.Branch> delete, List<Kept> kept) {

    /** The Amplify branches whose Neon branches always stay, as neon-ci.sh had it. */
    static final List<String> ALWAYS_KEPT = List.of("main", "dev");

    /** A branch that stays, and why, in words. */
    record Kept(NeonApi.Branch branch, String reason) {
    }

    /** Why a branch stays when its Amplify branch is there: the one reason that is not worth a line in a log. */
    static final String LIVE = "its Amplify branch exists";

    private static final Comparator<NeonApi.Branch> BY_NAME =
            Comparator.comparing(NeonApi.Branch::name).thenComparing(NeonApi.Branch::id);

    /**
     * Plans the clean-up of one app.
     *
     * @param appId the Amplify app
     * @param neonBranches every branch of the Neon project, read before the Amplify branches: a branch born in between is then no orphan
     * @param amplifyBranches every branch of the Amplify app
     * @param ownBranch the Amplify branch this build is for, or null outside a build of this app
     * @param keep globs over names of Amplify branches that stay; {@code *} stands for any text, {@code ?} for one character
     * @throws Failure if the list of Amplify branches cannot be the whole truth: it is empty, or the build's own branch is not in it
     */
    static CleanupPlan of(String appId, Collection<NeonApi.Branch> neonBranches, Collection<Aws.AmplifyBranch> amplifyBranches,
            String ownBranch, List<String> keep) {
        Set<String> live = liveNames(appId, amplifyBranches);
        if (live.isEmpty()) {
            throw new Failure("Amplify lists no branch at all for app " + appId
                    + ", so nothing was deleted: check --app-id and --region, and delete the last Neon branches of a retired app by hand.");
        }
        if (ownBranch != null && !live.contains(BranchName.of(appId, ownBranch))) {
            throw new Failure("Amplify's list of branches of app " + appId + " lacks '" + ownBranch
                    + "', the branch of this build, so nothing was deleted: run the clean-up again once the list is whole.");
        }

        Map<String, NeonApi.Branch> orphans = new HashMap<>();
        List<Kept> kept = new ArrayList<>();
        for (NeonApi.Branch branch : neonBranches) {
            if (!BranchName.isOf(appId, branch.name())) {
                continue;
            }
            String reason = reasonToKeep(appId, branch, live, keep);
            if (reason == null) {
                orphans.put(branch.id(), branch);
            } else {
                kept.add(new Kept(branch, reason));
            }
        }

        List<NeonApi.Branch> delete = childrenFirst(orphans, neonBranches);
        orphans.keySet().removeAll(delete.stream().map(NeonApi.Branch::id).toList());
        orphans.values().forEach(branch -> kept.add(new Kept(branch, "it has a child branch that stays")));
        kept.sort(Comparator.comparing(Kept::branch, BY_NAME));
        return new CleanupPlan(List.copyOf(delete), List.copyOf(kept));
    }

    /**
     * Refuses a plan that is larger than the user expects, whole: a mistake then costs nothing.
     *
     * @throws Failure if more than {@code max} branches would be deleted
     */
    void requireAtMost(int max) {
        if (delete.size() > max) {
            throw new Failure("Nothing was deleted: " + delete.size() + " orphans are more than --max-deletions " + max
                    + " allows; look at them with --dry-run, then run again with --max-deletions " + delete.size() + ".");
        }
    }

    private static Set<String> liveNames(String appId, Collection<Aws.AmplifyBranch> amplifyBranches) {
        Set<String> names = new LinkedHashSet<>();
        for (Aws.AmplifyBranch branch : amplifyBranches) {
            names.add(BranchName.of(appId, branch.name()));
            // A pull request's source branch may have a database without being an Amplify branch itself.
            if (branch.sourceBranch() != null) {
                names.add(BranchName.of(appId, branch.sourceBranch()));
            }
        }
        return names;
    }

    private static String reasonToKeep(String appId, NeonApi.Branch branch, Set<String> live, List<String> keep) {
        if (live.contains(branch.name())) {
            return LIVE;
        }
        if (branch.isDefault()) {
            return "it is the project's default branch";
        }
        if (branch.isProtected()) {
            return "it is protected";
        }
        String amplifyBranch = BranchName.amplifyBranch(appId, branch.name());
        if (ALWAYS_KEPT.contains(amplifyBranch)) {
            return "'" + amplifyBranch + "' is always kept";
        }
        Optional<String> beginning = BranchName.beginning(appId, branch.name());
        for (String glob : keep) {
            // Of a long name Neon has only the beginning. A glob that may fit the whole keeps the branch: the safe side.
            if (matches(glob, amplifyBranch, false) || beginning.isPresent() && matches(glob, beginning.get(), true)) {
                return "--keep '" + glob + "'";
            }
        }
        return null;
    }

    /**
     * Takes the orphans that have no child left, again and again. What is never reached has a child that stays, and so stays too: Neon
     * refuses to delete a branch with children.
     */
    private static List<NeonApi.Branch> childrenFirst(Map<String, NeonApi.Branch> orphans, Collection<NeonApi.Branch> neonBranches) {
        Map<String, Integer> children = new HashMap<>();
        for (NeonApi.Branch branch : neonBranches) {
            children.merge(branch.parentId(), 1, Integer::sum);
        }
        TreeSet<NeonApi.Branch> childless = new TreeSet<>(BY_NAME);
        orphans.values().stream().filter(branch -> !children.containsKey(branch.id())).forEach(childless::add);

        List<NeonApi.Branch> ordered = new ArrayList<>();
        while (!childless.isEmpty()) {
            NeonApi.Branch branch = childless.pollFirst();
            ordered.add(branch);
            int left = children.merge(branch.parentId(), -1, Integer::sum);
            if (left == 0 && orphans.containsKey(branch.parentId())) {
                childless.add(orphans.get(branch.parentId()));
            }
        }
        return ordered;
    }

    /**
     * A glob reads every character but {@code *} and {@code ?} as itself, and {@code *} reaches across slashes: the safe side. When a
     * text does not go on as the glob does, the latest star takes one character more; a regular expression would try the earlier ones
     * too, which for many stars takes for ever.
     *
     * @param goesOn whether the text is only the beginning of what the glob may match
     */
    private static boolean matches(String glob, String amplifyBranch, boolean goesOn) {
        int[] pattern = glob.codePoints().toArray();
        int[] text = amplifyBranch.codePoints().toArray();
        int star = -1;
        int starEnd = 0;
        int p = 0;
        int t = 0;
        while (t < text.length) {
            if (p < pattern.length && pattern[p] == '*') {
                star = p++;
                starEnd = t;
            } else if (p < pattern.length && (pattern[p] == '?' || pattern[p] == text[t])) {
                p++;
                t++;
            } else if (star >= 0) {
                p = star + 1;
                t = ++starEnd;
            } else {
                return false;
            }
        }
        while (p < pattern.length && pattern[p] == '*') {
            p++;
        }
        return goesOn || p == pattern.length;
    }
}
