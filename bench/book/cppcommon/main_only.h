// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Stand-ins for what the main() of CppTrader's example uses, which is compiled and never called.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace CppCommon
{
struct Reader {
	virtual ~Reader() = default;
	virtual size_t Read(void *, size_t)
	{
		return 0;
	}
};
struct StdInput : Reader {
};
struct Path {
	explicit Path(const std::string &)
	{
	}
};
struct File : Reader {
	explicit File(const Path &)
	{
	}
	void Open(bool, bool)
	{
	}
};
struct Timestamp {
	static uint64_t nano()
	{
		return 0;
	}
};
} // namespace CppCommon

namespace CppBenchmark
{
struct ReporterConsole {
	static std::string GenerateTimePeriod(uint64_t)
	{
		return {};
	}
};
} // namespace CppBenchmark

namespace optparse
{
struct Values {
	bool is_set(const char *) const
	{
		return false;
	}
	struct Value : std::string {
		explicit operator bool() const
		{
			return false;
		}
	};
	Value get(const char *) const
	{
		return {};
	}
};
struct Option {
	Option &dest(const char *)
	{
		return *this;
	}
	Option &help(const char *)
	{
		return *this;
	}
};
struct OptionParser {
	OptionParser &version(const char *)
	{
		return *this;
	}
	Option add_option(const char *, const char *)
	{
		return {};
	}
	Values parse_args(int, char **)
	{
		return {};
	}
	void print_help()
	{
	}
};
} // namespace optparse
