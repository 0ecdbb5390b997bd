package scenario

// A property that a scenario may expect, until package check has them all.
type property struct {
	name       string
	parameters []string
	needs      func(Cluster) string // what the cluster lacks, or empty
}

func needsTerms(c Cluster) string {
	if c.Election.Classic {
		return "an election with terms, which bully-classic has not"
	}
	return ""
}

func needsQuorum(c Cluster) string {
	if !c.Election.Quorum {
		return "an election with quorum"
	}
	return ""
}

func needsStable(c Cluster) string {
	if !c.Election.Stable {
		return "an election with stable"
	}
	return ""
}

func needsRank(c Cluster) string {
	if c.Election.Stable {
		return "an election without stable, under which rank does not decide"
	}
	return ""
}

func anyCluster(Cluster) string { return "" }

var properties = []property{
	{"clock-condition", nil, anyCluster},
	{"one-leader-per-term", nil, needsTerms},
	{"one-leader-at-a-time", []string{"overlap"}, anyCluster},
	{"leader-agreed", []string{"within"}, anyCluster},
	{"highest-leads", []string{"within"}, needsRank},
	{"leader-stable", nil, anyCluster},
	{"terms-never-decrease", nil, needsTerms},
	{"election-ends", []string{"within"}, anyCluster},
	{"stable-return", nil, needsStable},
	{"majority-granted", nil, needsQuorum},
	{"detector-complete", []string{"within"}, anyCluster},
	{"detector-accurate", []string{"within"}, anyCluster},
	{"suspicions-alternate", nil, anyCluster},
	{"detector-lives", nil, anyCluster},
	{"hints-verified", nil, anyCluster},
	{"no-creation", nil, anyCluster},
}

func lookup(name string) property {
	for _, p := range properties {
		if p.name == name {
			return p
		}
	}
	return property{}
}

func propertyNames() []string {
	names := make([]string, len(properties))
	for i, p := range properties {
		names[i] = p.name
	}
	return names
}

func parameterNames(name string) []string { return lookup(name).parameters }
