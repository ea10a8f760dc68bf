// The default theme, with tables that fit into the page.
import DefaultTheme from 'vitepress/theme';
import './tables.css';

export default DefaultTheme;
